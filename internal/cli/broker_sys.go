package cli

// turner is a checker that asks another server, and turns away whom it cannot ask about.
type turner interface{ Turned() uint64 }

// sayLogins says what logins cost, for $SYS: only of what the configuration asks for. What it
// looks at does not change once the broker serves.
func (s *brokerServer) sayLogins(say func(topic string, n int64)) {
	if len(s.logins.files) > 0 {
		gate, compared := s.logins.gate.Stats(), int64(0)
		for _, p := range s.logins.files {
			compared += p.Compared()
		}
		say("login/password/inside", int64(gate.Inside))
		say("login/password/waiting", int64(gate.Waiting))
		say("login/password/entered", gate.Entered)
		say("login/password/refused", gate.Refused)
		say("login/password/compared", compared)
	}
	if s.logins.guard != nil {
		say("login/guard/evicted", s.logins.guard.Evicted())
	}
	for name, checker := range s.askers.byName {
		if t, ok := checker.(turner); ok {
			say("login/"+name+"/turned-away", int64(t.Turned()))
		}
	}
}

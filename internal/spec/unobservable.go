package spec

// unobservable holds the statements that no exchange of packets with this program can show
// to hold, with the reason. A statement that is merely hard to test does not belong here.
var unobservable = map[string]string{
	"MQTT311-7.0.0-1": "speaks of a Server that dials other Servers, and ours dials none; its Client's side is then the one tested here",
	"MQTT311-7.0.0-2": "speaks of every exchange with every implementation; tests with other people's clients make it likely, none can show it",
}

// Unobservable returns why the statement with this id cannot be observed on the
// wire, and whether that is so.
func Unobservable(id string) (reason string, ok bool) {
	reason, ok = unobservable[id]
	return reason, ok
}

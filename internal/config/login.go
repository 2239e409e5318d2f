package config

import "time"

// Login are the options of our own about passwords: what checking them may cost, and what
// follows wrong ones.
type Login struct {
	Checks   int           // passwords that are compared at once; 0: half of the processors, and at least 1
	Queue    int           // logins that may wait for that
	Remember int           // right passwords that are known again without comparing; 0 for none
	Failures int           // wrong ones of a user from one address before a ban; 0: no bans
	Ban      time.Duration // the longest
	Scram    string        // the file of the users of SCRAM-SHA-256; empty for none
}

func defaultLogin() Login {
	return Login{Queue: 1000, Remember: 10_000, Failures: 5, Ban: 5 * time.Minute}
}

// loginOptions returns the rows of the table for Login.
func loginOptions() []option {
	count := func(name, standard string, min, max int, set func(l *Login, n int)) option {
		return option{names: words(name), kind: number, min: min, max: max, standard: standard, set: func(r *reader, v value) error {
			set(&r.config.Login, v.number)
			return nil
		}}
	}
	return []option{
		count("colibri_login_checks", "0", 0, 1024, func(l *Login, n int) { l.Checks = n }),
		count("colibri_login_queue", "1000", 0, 1_000_000, func(l *Login, n int) { l.Queue = n }),
		count("colibri_login_remember", "10000", 0, 1_000_000, func(l *Login, n int) { l.Remember = n }),
		count("colibri_login_failures", "5", 0, 1_000_000, func(l *Login, n int) { l.Failures = n }),
		count("colibri_login_ban", "300", 1, 86_400, func(l *Login, n int) { l.Ban = time.Duration(n) * time.Second }),
		{names: words("colibri_scram_file"), set: func(r *reader, v value) error {
			r.config.Login.Scram = v.text
			return nil
		}},
	}
}

// passwordFile reads password_file. With per_listener_settings it belongs to the last
// listener before it, else to all.
func (r *reader) passwordFile(v value) error {
	switch {
	case !r.perListener:
		r.config.PasswordFile = v.text
	case r.current == nil:
		r.standard.PasswordFile = v.text
		r.passwordLine = Warning{r.file, r.line, "password_file stands before the first listener and has no effect, because per_listener_settings is true"}
	default:
		r.current.PasswordFile = v.text
	}
	return nil
}

// placePasswords says what becomes of a password_file of the default listener when there is
// none. r.listeners are not yet in the configuration.
func (r *reader) placePasswords() {
	switch {
	case r.standardUsed || r.standard.PasswordFile == "":
	case len(r.listeners) == 0:
		r.config.PasswordFile = r.standard.PasswordFile
	default:
		r.config.Warnings = append(r.config.Warnings, r.passwordLine)
	}
}

// Passwords returns the password file of l; empty when there is none. l is nil for the
// listeners of a broker that is LocalOnly.
func (c *Config) Passwords(l *Listener) string {
	if l != nil && l.PasswordFile != "" {
		return l.PasswordFile
	}
	return c.PasswordFile
}

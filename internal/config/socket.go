package config

import (
	"io/fs"
	"strconv"
)

// socketMode is that of the file of a Unix domain socket when no file says it: the
// broker's user and its group may connect, as a connection needs the right to write.
const socketMode = 0o660

// Socket says who may connect to a listener on a Unix domain socket.
type Socket struct {
	Mode  fs.FileMode // permissions; with a Path never 0, without one 0
	Owner string      // a user's name or number; empty for the broker's own
	Group string      // a group's name or number; empty for the broker's own
}

// socketOptions returns the rows of the table for Socket.
func socketOptions() []option {
	row := func(name string, set func(r *reader, s *Socket, v value) error) option {
		return option{names: words(name), scope: listener, set: func(r *reader, v value) error {
			if r.current == nil {
				return r.errorf("this option belongs to a Unix domain socket; write it behind 'listener 0 /path'")
			}
			return set(r, &r.current.Socket, v)
		}}
	}
	return []option{
		row("colibri_socket_mode", func(r *reader, s *Socket, v value) error {
			mode, err := strconv.ParseUint(v.text, 8, 32)
			if err != nil || mode == 0 || mode > 0o777 {
				return r.errorf("'%s' is not a mode; write permissions in octal digits as chmod takes them, such as 0660 or 0666", v.text)
			}
			s.Mode = fs.FileMode(mode)
			return nil
		}),
		row("colibri_socket_owner", func(_ *reader, s *Socket, v value) error {
			s.Owner = v.text
			return nil
		}),
		row("colibri_socket_group", func(_ *reader, s *Socket, v value) error {
			s.Group = v.text
			return nil
		}),
	}
}

// checkSocket refuses options of a Unix domain socket at another listener.
func (l *Listener) checkSocket() error {
	if l.Path != "" || l.Socket == (Socket{}) {
		return nil
	}
	return &Error{File: l.File, Line: l.Line, Key: "listener",
		Text: "this listener has options that begin with colibri_socket_ and is not on a Unix domain socket; write 'listener 0 /path', or take them out"}
}

//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package cli

import "golang.org/x/sys/unix"

// hideTyping has a terminal show nothing of what is typed, from before the question on: who
// answers fast, or types ahead, is not shown either.
func hideTyping(fd int) {
	state, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return // what reads the password hides it too
	}
	state.Lflag &^= unix.ECHO
	unix.IoctlSetTermios(fd, setTermios, state)
}

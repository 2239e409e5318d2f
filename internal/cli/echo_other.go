//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd)

package cli

// hideTyping leaves it to what reads the password.
func hideTyping(int) {}

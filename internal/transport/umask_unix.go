//go:build unix

package transport

import "syscall"

// ownerOnly has files that are made until restore is called opened by nobody but their owner.
// That holds for the whole process: files that others make meanwhile may come out stricter
// than they wanted, never looser.
func ownerOnly() (restore func()) {
	before := syscall.Umask(0o077)
	return func() { syscall.Umask(before) }
}

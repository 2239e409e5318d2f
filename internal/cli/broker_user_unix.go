//go:build unix

package cli

import (
	"errors"
	"syscall"
)

// become gives up the rights of root, in all threads and for good.
func (a *account) become() error {
	if err := syscall.Setgroups(a.groups); err != nil {
		return err
	}
	if err := syscall.Setgid(a.gid); err != nil {
		return err
	}
	if err := syscall.Setuid(a.uid); err != nil {
		return err
	}
	if a.uid != 0 && syscall.Setuid(0) == nil {
		return errors.New("the system gives the rights of root back")
	}
	return nil
}

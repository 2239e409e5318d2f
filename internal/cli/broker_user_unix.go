//go:build unix

package cli

import (
	"errors"
	"os"
	"syscall"
)

// noFollow keeps OpenFile from following a link at the end of a path.
const noFollow = syscall.O_NOFOLLOW

// onlyRootWrites reports whether nobody but root may put a file into dir.
func onlyRootWrites(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil || info.Mode()&0o022 != 0 {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == 0
}

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

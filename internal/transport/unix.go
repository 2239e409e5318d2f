package transport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"
)

// maxUnixPath is the length in bytes of the longest path that every system takes
// (sun_path of macOS; Linux takes 107).
const maxUnixPath = 103

func checkUnix(u *url.URL) error {
	if u.Host != "" || u.Path == "" {
		return fmt.Errorf("address %q is not an absolute path: write three slashes, as in unix:///run/colibri.sock", u)
	}
	if len(u.Path) > maxUnixPath {
		return fmt.Errorf("path of the socket %q has %d bytes: choose one of %d at most", u.Path, len(u.Path), maxUnixPath)
	}
	return nil
}

func dialUnix(ctx context.Context, u *url.URL, _ Options) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", u.Path)
}

// unixListener removes the file of its socket when it is closed, unless another file has
// taken its place.
type unixListener struct {
	*net.UnixListener
	path string
	file fs.FileInfo // as it was made
}

// listenUnix listens at the path of u. The file goes when the listener is closed. Until it
// has its owner and its mode, only the user of this process may open it.
func listenUnix(u *url.URL, o Options) (net.Listener, error) {
	uid, gid, err := socketOwner(o)
	if err != nil {
		return nil, err
	}
	if err := removeStale(u.Path); err != nil {
		return nil, err
	}
	restore := ownerOnly()
	inner, err := net.ListenUnix("unix", &net.UnixAddr{Name: u.Path, Net: "unix"})
	restore()
	if err != nil {
		return nil, err
	}
	inner.SetUnlinkOnClose(false)
	l := &unixListener{UnixListener: inner, path: u.Path}
	if l.file, err = os.Lstat(u.Path); err != nil {
		l.Close()
		return nil, err
	}
	if uid >= 0 || gid >= 0 {
		if err := os.Lchown(u.Path, uid, gid); err != nil {
			l.Close()
			return nil, fmt.Errorf("this user may not give the socket to %s: take a group that it belongs to, or start as root", ownerText(o))
		}
	}
	if o.SocketMode != 0 {
		if err := os.Chmod(u.Path, o.SocketMode.Perm()); err != nil {
			l.Close()
			return nil, err
		}
	}
	return o.wrapped(l, nil)
}

// Close stops listening and removes the file of the socket.
func (l *unixListener) Close() error {
	now, err := os.Lstat(l.path)
	if err == nil && l.file != nil && now.Mode().Type() == fs.ModeSocket && os.SameFile(now, l.file) {
		os.Remove(l.path)
	}
	return l.UnixListener.Close()
}

// socketOwner returns the numbers of the user and the group of o; -1 for none.
func socketOwner(o Options) (uid, gid int, err error) {
	uid, gid = -1, -1
	if o.SocketOwner != "" {
		if uid, err = strconv.Atoi(o.SocketOwner); err != nil || uid < 0 {
			found, err := user.Lookup(o.SocketOwner)
			if err != nil {
				return -1, -1, fmt.Errorf("this machine has no user '%s' to give the socket to: make it, or name another one", o.SocketOwner)
			}
			if uid, err = strconv.Atoi(found.Uid); err != nil {
				return -1, -1, err
			}
		}
	}
	if o.SocketGroup != "" {
		if gid, err = strconv.Atoi(o.SocketGroup); err != nil || gid < 0 {
			found, err := user.LookupGroup(o.SocketGroup)
			if err != nil {
				return -1, -1, fmt.Errorf("this machine has no group '%s' to give the socket to: make it, or name another one", o.SocketGroup)
			}
			if gid, err = strconv.Atoi(found.Gid); err != nil {
				return -1, -1, err
			}
		}
	}
	return uid, gid, nil
}

// ownerText names whom o gives the socket to.
func ownerText(o Options) string {
	switch {
	case o.SocketGroup == "":
		return fmt.Sprintf("the user '%s'", o.SocketOwner)
	case o.SocketOwner == "":
		return fmt.Sprintf("the group '%s'", o.SocketGroup)
	}
	return fmt.Sprintf("the user '%s' and the group '%s'", o.SocketOwner, o.SocketGroup)
}

// removeStale removes the file of a socket whose process has gone without doing so.
// It never removes another kind of file, nor a socket on which someone listens. Two
// processes that start on one path at the same instant are not told apart.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("the file exists and is not a socket: remove it or choose another path")
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		nc.Close()
		return errors.New("another process listens there: stop it or choose another path")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("whether another process listens there cannot be found out: %w", err)
	}
	return os.Remove(path)
}

package transport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
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

// listenUnix listens at the path of u. The file goes when the listener is closed.
func listenUnix(u *url.URL, o Options) (net.Listener, error) {
	if err := removeStale(u.Path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", u.Path)
	if err != nil {
		return nil, err
	}
	if o.SocketMode != 0 {
		if err := os.Chmod(u.Path, o.SocketMode.Perm()); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
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
		return fmt.Errorf("listen at %s: the file exists and is not a socket: remove it or choose another path", path)
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		nc.Close()
		return fmt.Errorf("listen at %s: another process listens there: stop it or choose another path", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("listen at %s: whether another process listens there cannot be found out: %w", path, err)
	}
	return os.Remove(path)
}

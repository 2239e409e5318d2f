package watch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// watched is a group whose changes a test waits for.
type watched struct {
	*testing.T
	dir   string
	calls chan struct{}
}

func watch(t *testing.T, dir string, files ...string) *watched {
	t.Helper()
	w, err := New(func(err error) { t.Errorf("the watcher failed: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	g := &watched{t, dir, make(chan struct{}, 100)}
	if err := w.Add(files, func() { g.calls <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	return g
}

// once waits for the call after a change, and sees that there is one only.
func (g *watched) once(what string) {
	g.Helper()
	select {
	case <-g.calls:
	case <-time.After(10 * time.Second):
		g.Fatalf("%s: nothing was called", what)
	}
	g.never(what + ", again")
}

// never sees that nothing is called.
func (g *watched) never(what string) {
	g.Helper()
	select {
	case <-g.calls:
		g.Errorf("%s: something was called", what)
	case <-time.After(2 * quiet):
	}
}

func (g *watched) write(name, text string) {
	g.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o600); err != nil {
		g.Fatal(err)
	}
}

func (g *watched) do(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// TestFiles changes files in the ways that programs do.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"crt", "key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("1"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := watch(t, dir, filepath.Join(dir, "crt"), filepath.Join(dir, "key"), filepath.Join(dir, "later"))
	g.write("crt", "two")
	g.once("written in place")
	g.write("other", "x")
	g.never("another file")
	g.write("new", "three")
	g.do(os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "crt")))
	g.write("new", "three")
	g.do(os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "key")))
	g.once("two renamed over")
	g.write("later", "x")
	g.once("one that was not there")
	g.do(os.Remove(filepath.Join(dir, "later")))
	g.once("removed")
}

// TestLinks replaces the link on the way to the files, as Kubernetes does with ..data, and the
// file's own, as certbot does.
func TestLinks(t *testing.T) {
	dir := t.TempDir()
	g := watch(t, dir)
	for _, version := range []string{"..1", "..2"} {
		g.do(os.Mkdir(filepath.Join(dir, version), 0o700))
		g.write(filepath.Join(version, "tls.crt"), "same")
	}
	g.do(os.Symlink("..1", filepath.Join(dir, "..data")))
	g.do(os.Symlink(filepath.Join("..data", "tls.crt"), filepath.Join(dir, "tls.crt")))
	g = watch(t, dir, filepath.Join(dir, "tls.crt"))
	g.do(os.Symlink("..2", filepath.Join(dir, "..new")))
	g.do(os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")))
	g.once("the link to the directory")
	g.write(filepath.Join("..2", "tls.crt"), "another")
	g.once("the file in the new directory")

	archive, live := t.TempDir(), t.TempDir()
	g = watch(t, archive)
	g.write("1.pem", "x")
	g.write("2.pem", "x")
	g.do(os.Symlink(filepath.Join(archive, "1.pem"), filepath.Join(live, "pem")))
	g = watch(t, archive, filepath.Join(live, "pem"))
	g.write("1.pem", "changed")
	g.once("the file behind the link")
	g.do(os.Symlink(filepath.Join(archive, "2.pem"), filepath.Join(live, "new")))
	g.do(os.Rename(filepath.Join(live, "new"), filepath.Join(live, "pem")))
	g.once("the link")

	between := t.TempDir()
	g.do(os.Symlink(filepath.Join(archive, "1.pem"), filepath.Join(between, "pem")))
	g.do(os.Symlink(filepath.Join(between, "pem"), filepath.Join(live, "far")))
	g = watch(t, archive, filepath.Join(live, "far"))
	g.do(os.Symlink(filepath.Join(archive, "2.pem"), filepath.Join(between, "new")))
	g.do(os.Rename(filepath.Join(between, "new"), filepath.Join(between, "pem")))
	g.once("a link between")
}

// TestDirectory watches a directory as a whole, and one that goes and comes back.
func TestDirectory(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "cas")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	g := watch(t, dir, dir)
	g.write("a.crt", "1")
	g.once("a new file")
	g.write("a.crt", "two")
	g.once("a file that changes")
	g.do(os.RemoveAll(dir))
	g.once("the directory is removed")
	g.do(os.Mkdir(dir, 0o700))
	g.once("the directory is back")
	g.write("a.crt", "3")
	g.once("a new file in it")

	w, err := New(func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Add([]string{filepath.Join(parent, "nowhere", "file")}, func() {}); err == nil {
		t.Error("a file in no directory: got no error")
	}
}

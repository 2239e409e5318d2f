package passwd

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestEdit(t *testing.T) {
	path := write(t, "# people\nann:one\r\n\nbob:two\nann:three\n")
	e, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if !e.Set("ann", "new") || e.Set("eve", "four") || !e.Delete("bob") || e.Delete("bob") {
		t.Error("Set and Delete do not say right whether the user was there")
	}
	if want := "# people\nann:new\n\neve:four\n"; e.Text() != want {
		t.Errorf("got %q, want %q", e.Text(), want)
	}
	if err := e.Save(); err != nil {
		t.Fatal(err)
	}
	if content, _ := os.ReadFile(path); string(content) != e.Text() {
		t.Errorf("the file: got %q", content)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v, want the file alone", entries, err)
	}
}

// TestHashPlain shows that passwords become hashes once, whatever they hold.
func TestHashPlain(t *testing.T) {
	path := write(t, "# people\nann:one:two\nbob:"+foreign7+"\neve: $6$ \n")
	e, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	cheap := func(password []byte) (Hash, error) { return New(SHA512, 0, password) }
	if err := e.HashPlain(cheap); err != nil {
		t.Fatal(err)
	}
	once := e.Text()
	if err := e.HashPlain(cheap); err != nil || e.Text() != once {
		t.Errorf("a second time: got %q, %v, want %q", e.Text(), err, once)
	}
	f, err := parse(path, once)
	if err != nil {
		t.Fatal(err)
	}
	for user, password := range map[string]string{"ann": "one:two", "bob": "pass word", "eve": "$6$"} {
		if h, _ := f.Lookup(user); !h.Matches([]byte(password)) {
			t.Errorf("%s: the password does not match", user)
		}
	}
	if !strings.HasPrefix(once, "# people\n") {
		t.Errorf("the comment is gone: %q", once)
	}
}

func TestOpenNamesTheLine(t *testing.T) {
	_, err := Open(write(t, "# people\nann:one\nbob\n"))
	if err == nil || !strings.Contains(err.Error(), ":3: ") {
		t.Errorf("got %v, want line 3", err)
	}
}

func TestSaveKeepsModeAndLink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("modes and links mean something else here")
		return
	}
	mode := func(path string) fs.FileMode {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	path := filepath.Join(t.TempDir(), "new")
	e := Create(path)
	e.Set("ann", "one")
	if err := e.Save(); err != nil || mode(path) != 0o600 {
		t.Errorf("a new file: got %v, %v, want 0600", mode(path), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	e, err := Open(link)
	if err != nil {
		t.Fatal(err)
	}
	e.Set("bob", "two")
	if err := e.Save(); err != nil || mode(path) != 0o640 || mode(link)&fs.ModeSymlink == 0 {
		t.Errorf("an old file behind a link: got %v, %v, %v, want 0640 and the link", mode(path), mode(link), err)
	}
	if os.Geteuid() == 0 { // only root can make the situation
		if err := os.Chown(path, 1234, 1235); err != nil {
			t.Fatal(err)
		}
		if err := e.Save(); err != nil || ownerOf(t, path) != [2]uint32{1234, 1235} {
			t.Errorf("somebody else's file: got the owner %v, %v", ownerOf(t, path), err)
		}
	}
	if err := Create(filepath.Join(t.TempDir(), "none", "file")).Save(); err == nil {
		t.Error("no directory: got no error")
	}
	if err := Create(t.TempDir()).Save(); err == nil {
		t.Error("a directory: got no error")
	}
}

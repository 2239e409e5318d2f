package cli

import (
	"errors"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri/internal/config"
)

// TestChooseAccount shows whom a broker becomes. That it does, and what is its then, is shown
// in test/interop, where programs run as root.
func TestChooseAccount(t *testing.T) {
	for _, c := range []struct {
		name      string
		option    string // user
		mosquitto bool
		root      bool
		users     []string // that exist
		want      string   // empty: nobody else
		err       string
		warning   bool
	}{
		{"no root", "", true, false, []string{"mosquitto"}, "", "", false},
		{"no root, with the option", "mosquitto", false, false, []string{"mosquitto"}, "", "", true},
		{"root", "", false, true, []string{"mosquitto"}, "", "", false},
		{"root, as Mosquitto", "", true, true, []string{"mosquitto", "nobody"}, "mosquitto", "", false},
		{"root, as Mosquitto without its user", "", true, true, []string{"nobody"}, "nobody", "", false},
		{"root, as Mosquitto without any", "", true, true, nil, "",
			"there is neither a user 'mosquitto' nor a user 'nobody' whom the broker could become; make one of them, or write 'user NAME' into a configuration", false},
		{"user mosquitto", "mosquitto", false, true, []string{"mosquitto", "nobody"}, "mosquitto", "", false},
		{"user mosquitto that is missing", "mosquitto", false, true, []string{"nobody"}, "nobody", "", false},
		{"user", "iot", true, true, []string{"iot", "mosquitto", "nobody"}, "iot", "", false},
		{"user that is missing", "iot", true, true, []string{"mosquitto", "nobody"}, "",
			"a.conf:3: there is no user 'iot' on this machine; make it, or write the name of another one", false},
		{"user root", "root", true, true, []string{"mosquitto", "nobody"}, "", "", false},
	} {
		conf := config.Default()
		if c.option != "" {
			conf.User = config.User{Name: c.option, File: "a.conf", Line: 3}
		}
		got, err := chooseAccount(conf, c.mosquitto, c.root, func(name string) (*user.User, error) {
			if !slices.Contains(c.users, name) {
				return nil, user.UnknownUserError(name)
			}
			return &user.User{Username: name, Uid: "7", Gid: "8", HomeDir: "/nonexistent"}, nil
		})
		name := ""
		if got != nil {
			name = got.name
			if got.uid != 7 || got.gid != 8 || !slices.Contains(got.groups, 8) {
				t.Errorf("%s: got uid %d, gid %d, groups %v", c.name, got.uid, got.gid, got.groups)
			}
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if name != c.want || text != c.err || (len(conf.Warnings) > 0) != c.warning {
			t.Errorf("%s: got %q, %q and the warnings %v; want %q and %q", c.name, name, text, conf.Warnings, c.want, c.err)
		}
	}
	_, err := chooseAccount(&config.Config{User: config.User{Name: "iot"}}, false, true, func(string) (*user.User, error) {
		return nil, errors.New("broken")
	})
	if err == nil {
		t.Error("a look-up that fails: got no error")
	}
}

// TestLinksAreNotFollowed shows that who may put a link in the place of the log file or
// pid_file gets nothing written with the rights of root.
func TestLinksAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	err := os.WriteFile(target, []byte("precious"), 0o600)
	if err == nil {
		err = os.Symlink(target, link)
	}
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	a := &account{name: "iot"}
	for name, err := range map[string]error{
		"pid_file": a.writePID(link),
		"the log": func() error {
			l, err := newBrokerLog(config.Log{File: link}, a, io.Discard, io.Discard)
			if err == nil {
				l.close()
			}
			return err
		}(),
	} {
		if err == nil || !strings.Contains(err.Error(), "is a link, which is not followed") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if b, err := os.ReadFile(target); string(b) != "precious" {
		t.Errorf("got %q, %v, want the file as it was", b, err)
	}
	if err := a.writePID(target); err != nil {
		t.Errorf("a file: got %v", err)
	}
	if err := (*account)(nil).writePID(link); err != nil {
		t.Errorf("a link, as nobody else: got %v", err)
	}
}

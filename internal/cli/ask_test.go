//go:build unix

package cli

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri/internal/control"
)

// TestFindBroker finds the broker that runs by each of the ways to name it.
func TestFindBroker(t *testing.T) {
	dir := shortDirectory(t)
	t.Setenv("XDG_STATE_HOME", dir)
	found := func(c brokerChoice) error {
		_, err := c.ask(t.Context(), "nothing", url.Values{})
		if refused, ok := errors.AsType[*control.Refused](err); ok && strings.Contains(refused.Text, "does not know the question") {
			return nil
		}
		return err
	}
	if err := found(brokerChoice{}); err == nil || !strings.Contains(err.Error(), "no broker of this user answers (there is no such socket): start one, or say with -p, -c or --control") {
		t.Errorf("without a broker: got %v", err)
	}
	port := freePort(t)
	file := filepath.Join(dir, "a.conf")
	if err := os.WriteFile(file, []byte("listener "+port+" 127.0.0.1\nallow_anonymous true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	startBroker(t, "colibri", "broker", "-c", file).until("is running")
	socket := filepath.Join(dir, "colibri", port, "control")
	for _, c := range []brokerChoice{{}, {port: port}, {configFile: file}, {control: socket}} {
		if err := found(c); err != nil {
			t.Errorf("%+v: got %v", c, err)
		}
	}
	for _, c := range []struct {
		choice brokerChoice
		want   string
	}{
		{brokerChoice{port: "1", control: socket}, "give one of -p, -c and --control"},
		{brokerChoice{port: "0"}, "'0' is not a port; give a number from 1 to 65535"},
		{brokerChoice{port: "1"}, "there is no such socket: start it, or say with --control which socket it has"},
		{brokerChoice{control: dir + "/x"}, "no broker answers at " + dir + "/x: there is no such socket"},
	} {
		if err := found(c.choice); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.choice, err, c.want)
		}
	}
}

//go:build linux

package cli

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// pseudoTerminal is a terminal of 80 columns and 24 lines, and what was written to it.
type pseudoTerminal struct {
	*testing.T
	master, slave *os.File
	transcript
}

func newPseudoTerminal(t *testing.T) *pseudoTerminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	p := &pseudoTerminal{T: t, master: master, slave: slave}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			if err != nil {
				return
			}
			p.transcript.Write(b[:n])
		}
	}()
	return p
}

// until waits for text that matches pattern on the terminal.
func (p *pseudoTerminal) until(pattern string) {
	p.Helper()
	want := regexp.MustCompile(pattern)
	late := time.After(patience)
	for {
		text, changed := p.now()
		if want.MatchString(text) {
			return
		}
		select {
		case <-changed:
		case <-late:
			p.Fatalf("the terminal did not show %q, but\n%q", pattern, text)
		}
	}
}

// TestTopicTreeOnTerminal shows the live tree: it is redrawn, keys and signals end it, and
// the terminal is as it was.
func TestTopicTreeOnTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	for _, end := range []string{"q", "\x03", "signal"} {
		t.Run(fmt.Sprintf("%q", end), func(t *testing.T) {
			s := newTreeBroker(t)
			s.publish("house/kitchen\x1b[2J", "21\x1b]0;title\a", "-r")
			p := newPseudoTerminal(t)
			before, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			exit := make(chan int, 1)
			var stderr transcript
			go func() {
				exit <- run(ctx, []string{"colibri", "topic", "tree"}, p.slave, p.slave, &stderr)
			}()
			p.until(`kitchen␛\[2J R +0 +1 +\d+s  0x32311b5d303b7469746c6507`)
			s.publish("house/door", "open")
			p.until(`door +\d\.\d +1 +\d+s  open`)
			if end == "signal" {
				s.stop()
				p.until(`The connection to the broker was lost; trying again until it is back\.`)
				s.start()
				p.until(`The connection to the broker is back\.`)
				cancel()
			} else if _, err := p.master.WriteString(end); err != nil {
				t.Fatal(err)
			}
			select {
			case code := <-exit:
				if text, _ := stderr.now(); code != 0 || text != "" {
					t.Errorf("got exit code %d and %q", code, text)
				}
			case <-time.After(patience):
				t.Fatal("the command does not end")
			}
			p.until(`\x1b\[\?1049l2 topics, \d messages in [^\n]+ a second\.\r\n`)
			text, _ := p.now()
			if strings.Contains(text, "\x1b]") || strings.Count(text, "\x1b[2J") != 1 || strings.Contains(text, "\x1b[3") {
				t.Errorf("something that the terminal obeys came through, or colour:\n%q", text)
			}
			after, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("the terminal is not as it was (-before +after):\n%s", diff)
			}
		})
	}
}

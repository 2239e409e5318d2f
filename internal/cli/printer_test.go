package cli

import (
	"bytes"
	"errors"
	"testing"

	"github.com/colibri-mqtt/colibri"
)

func TestPrinter(t *testing.T) {
	isolate(t)
	messages := []colibri.Message{{Topic: "a", Payload: []byte("1")}, {Topic: "b"}, {Topic: "a", Payload: []byte("{}")}}
	for _, test := range []struct {
		flags          string
		stdout, stderr string
	}{
		{"", "1\n{}\n", ""},
		{"-N", "1{}", ""},
		{"-v", "a 1\nb (null)\na {}\n", ""},
		{"-v -N", "a 1a {}", ""},
		{"-F %t", "a\nb\na\n", ""},
		{"-F %t;%p -v", "a;1\nb;\na;{}\n", ""},
		{"-F %t. -N", "a.b.a.", ""},
		{"-w -v", "\x1b[2J\x1b[H\x1b[1;1H\x1b[2Ka 1\x1b[2;1H\x1b[2;1H\x1b[2Kb (null)\x1b[3;1H\x1b[1;1H\x1b[2Ka {}\x1b[3;1H", ""},
	} {
		t.Run(test.flags, func(t *testing.T) {
			o, err := parseOptions(sub, "colibri sub", append([]string{"-t", "#"}, words(test.flags)...))
			if err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			p := newPrinter(newOutput(&stdout), &stderr, o)
			for i := range messages {
				p.print(received{Message: &messages[i]})
			}
			p.out.flush()
			if stdout.String() != test.stdout || stderr.String() != test.stderr {
				t.Errorf("got %q and on stderr %q, want %q and %q", stdout.String(), stderr.String(), test.stdout, test.stderr)
			}
		})
	}
}

func TestPrinterOfPayloadThatIsNotJSON(t *testing.T) {
	isolate(t)
	for flags, want := range map[string][2]string{
		"-F %J":         {"", "Error: Message payload is not valid JSON on topic a.\n"},
		"-F [%J]":       {"[]\n", "Error: Message payload is not valid JSON on topic a.\n"},
		"-F %J --quiet": {"", ""},
	} {
		o, err := parseOptions(sub, "colibri sub", append([]string{"-t", "#"}, words(flags)...))
		if err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		p := newPrinter(newOutput(&stdout), &stderr, o)
		p.print(received{Message: &colibri.Message{Topic: "a", Payload: []byte("no")}})
		p.out.flush()
		if stdout.String() != want[0] || stderr.String() != want[1] {
			t.Errorf("%s: got %q and on stderr %q, want %q and %q", flags, stdout.String(), stderr.String(), want[0], want[1])
		}
	}
}

func TestPrinterPicksByChance(t *testing.T) {
	o := newOptions(sub)
	o.randomFilter = 50
	var stdout bytes.Buffer
	p := newPrinter(newOutput(&stdout), &stdout, o)
	const n = 10_000
	for range n {
		p.print(received{Message: &colibri.Message{Topic: "a", Payload: []byte("x")}})
	}
	p.out.flush()
	if printed := stdout.Len() / 2; printed < n*45/100 || printed > n*55/100 {
		t.Errorf("printed %d of %d, want about half", printed, n)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestPrinterSeesThatNobodyReads(t *testing.T) {
	p := newPrinter(newOutput(brokenWriter{}), brokenWriter{}, newOptions(sub))
	p.print(received{Message: &colibri.Message{Topic: "a", Payload: []byte("x")}})
	if p.out.flush() {
		t.Error("flush to a broken pipe reports success")
	}
}

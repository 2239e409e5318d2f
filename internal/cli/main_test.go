package cli

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

// beProgram in the environment makes the test program colibri itself.
const beProgram = "COLIBRI_TEST_PROGRAM"

// TestMain lets the test program also be the process that compares passwords for the brokers of
// the tests.
func TestMain(m *testing.M) {
	if isHasher(os.Args) || os.Getenv(beProgram) != "" {
		os.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// call runs a whole command line in this process.
func call(t *testing.T, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	exit = run(context.Background(), args, strings.NewReader(""), &out, &errs)
	return exit, out.String(), errs.String()
}

func TestNamesOfTheProgram(t *testing.T) {
	isolate(t)
	for _, test := range []struct {
		args   []string
		exit   int
		stdout string // beginning
		stderr string
	}{
		{[]string{"colibri", "version"}, 0, "colibri version ", ""},
		{[]string{"/usr/bin/colibri", "--version"}, 0, "colibri version ", ""},
		{[]string{"colibri", "version", "x"}, 1, "", "Error: Unknown option 'x'.\n\nUse 'colibri version --help' to see usage.\n"},
		{[]string{"colibri", "pub", "--version"}, 0, "colibri pub version ", ""},
		{[]string{"colibri", "pub", "--help"}, 0, "Publish one message", ""},
		{[]string{"colibri", "help", "pub"}, 0, "Publish one message", ""},
		{[]string{"colibri", "sub", "--help"}, 0, "Subscribe to topics", ""},
		{[]string{"colibri", "rr", "--help"}, 0, "Publish a request", ""},
		{[]string{"/opt/x/mosquitto_pub", "--help"}, 1, "Publish one message", ""},
		{[]string{"mosquitto_sub", "--version"}, 1, "mosquitto_sub version ", ""},
		{[]string{"mosquitto_rr.exe", "--help"}, 1, "Publish a request", ""},
		{[]string{"mosquitto_pub", "--foo"}, 1, "", "Error: Unknown option '--foo', see 'mosquitto_pub --help'.\n"},
		{[]string{"mosquitto_sub", "-t", "a/#/b"}, 1, "", "Error: Invalid subscription topic 'a/#/b', are all '+' and '#' wildcards correct?\na/#/b\n  ^ must be the last level\n\nUse 'mosquitto_sub --help' to see usage.\n"},
		{[]string{"colibri", "pub"}, 1, "", "Error: Both topic and message must be supplied.\n\nUse 'colibri pub --help' to see usage.\n"},
		{[]string{"colibri"}, 0, "An MQTT broker", ""},
		{[]string{}, 0, "An MQTT broker", ""},
		{[]string{"colibri", "pb"}, 1, "", "Error: Unknown command 'pb'; the nearest is 'pub', see 'colibri --help'.\n"},
		{[]string{"colibri", "frobnicate"}, 1, "", "Error: Unknown command 'frobnicate', see 'colibri --help'.\n"},
		{[]string{"colibri", "--frob"}, 1, "", "Error: Unknown flag: --frob, see 'colibri --help'.\n"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			exit, stdout, stderr := call(t, test.args...)
			if exit != test.exit || !strings.HasPrefix(stdout, test.stdout) || test.stdout == "" && stdout != "" || stderr != test.stderr {
				t.Errorf("got exit %d, stdout %.60q, stderr %q; want exit %d, stdout %q…, stderr %q", exit, stdout, stderr, test.exit, test.stdout, test.stderr)
			}
		})
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	isolate(t)
	for p, name := range testNames {
		_, help, _ := call(t, words(name+" --help")...)
		for i := range flags {
			for _, flag := range flags[i].names {
				if flags[i].in&p != 0 && !strings.Contains(help, flag) {
					t.Errorf("the help of %s does not name %s", name, flag)
				}
			}
		}
		for n, line := range strings.Split(help, "\n") {
			if columns := len([]rune(line)); columns > 108 {
				t.Errorf("line %d of the help of %s is %d columns wide: %s", n+1, name, columns, line)
			}
		}
	}
}

func TestCompletion(t *testing.T) {
	isolate(t)
	for _, test := range []struct {
		args []string // the last is what is typed so far
		want string   // one offer that must be among the others
		not  string   // and one that must not
	}{
		{[]string{"p"}, "pub\tPublish messages", "sub"},
		{[]string{"pub", "--re"}, "--retain\t", "--help"},
		{[]string{"sub", "-"}, "-T\thide messages", "-m\t"},
		{[]string{"pub", "-q", ""}, "1", "-t"},
		{[]string{"pub", "-V", "3"}, "311", "5\n"},
		{[]string{"pub", "-D", "p"}, "publish", "connect"},
		{[]string{"pub", "-D", "publish", "c"}, "content-type", "receive-maximum"},
		{[]string{"pub", "-D", "will", "w"}, "will-delay-interval", "content-type"},
		{[]string{"pub", "-D", "publish", "content-type", "x", "--top"}, "--topic", "--retain"},
		{[]string{"pub", "--ps"}, ":4", "--psk"},
		{[]string{"pub", "--caf"}, "--cafile", "--capath"},
		{[]string{"pub", "-f", ""}, ":0", "-t"},
	} {
		args := append([]string{"colibri", "__complete"}, test.args...)
		_, stdout, _ := call(t, args...)
		if !strings.Contains(stdout, test.want) || strings.Contains(stdout, test.not) {
			t.Errorf("%q: got\n%swant %q and not %q", test.args, stdout, test.want, test.not)
		}
	}
}

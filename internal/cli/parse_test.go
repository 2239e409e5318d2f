package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
)

// words cuts a command line at its spaces; ” is an empty word.
func words(line string) []string {
	list := strings.Fields(line)
	for i := range list {
		if list[i] == "''" {
			list[i] = ""
		}
	}
	return list
}

// isolate keeps the default options files of the person who runs the tests out of them.
func isolate(t *testing.T) (directory string) {
	directory = t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", directory)
	return directory
}

var testNames = map[program]string{pub: "colibri pub", sub: "colibri sub", rr: "colibri rr", topicTree: "colibri topic tree"}

func TestCommandLineMistakes(t *testing.T) {
	isolate(t)
	for _, test := range []struct {
		program program
		line    string
		want    string
	}{
		{pub, "", "Both topic and message must be supplied."},
		{pub, "-t a", "Both topic and message must be supplied."},
		{pub, "-m a", "Both topic and message must be supplied."},
		{pub, "-t a -m b -n", "Only one type of message can be sent at once."},
		{pub, "-t a -m b -f x", "Only one type of message can be sent at once."},
		{pub, "-t a -l -s", "Only one type of message can be sent at once."},
		{pub, "-t a/# -m b", "Invalid publish topic 'a/#', does it contain '+' or '#'?"},
		{pub, "-t '' -m b", "Invalid publish topic '', does it contain '+' or '#'?"},
		{pub, "-t a -m", "-m argument given but no message specified."},
		{pub, "-t", "-t argument given but no topic specified."},
		{pub, "-t a -m b --host", "--host argument given but no host specified."},
		{pub, "-t a -m b -q 3", "Invalid QoS given: 3; it must be 0, 1 or 2."},
		{pub, "-t a -m b -q x", "Invalid QoS given: x; it must be 0, 1 or 2."},
		{pub, "-t a -m b -p 65536", "Invalid port given: 65536; it must be between 1 and 65535."},
		{pub, "-t a -m b -p 0", "Invalid port given: 0; it must be between 1 and 65535."},
		{pub, "-t a -m b -h ''", "-h argument given but the host is empty."},
		{pub, "-t a -m b -p x", "Invalid port given: x; it must be between 1 and 65535."},
		{pub, "-t a -m b -k 4", "Invalid keepalive given, it must be between 5 and 65535 inclusive."},
		{pub, "-t a -m b -k 65536", "Invalid keepalive given, it must be between 5 and 65535 inclusive."},
		{pub, "-t a -m b -i a -I b", "-i and -I argument cannot be used together."},
		{pub, "-t a -m b -I b -i a", "-i and -I argument cannot be used together."},
		{pub, "-t a -m b -c", "You must provide a client id if you are using the -c option."},
		{pub, "-t a -m b -c -i ''", "You must provide a client id if you are using the -c option."},
		{pub, "-t a -m b -c -V 5", "You must provide a client id if you are using an infinite session expiry interval."},
		{pub, "-t a -m b -x -1", "You must provide a client id if you are using an infinite session expiry interval."},
		{pub, "-t a -m b -i '' -V 31", "Invalid id: MQTT 3.1 does not allow an empty client id."},
		{pub, "-t a -m b -P x", "-P argument given but no user name: MQTT 3.1.1 allows a password only together with -u."},
		{pub, "-t a -m b -V 6", "Invalid protocol version argument given: '6' is none of 31, 311 and 5."},
		{pub, "-t a -m b -x", "-x argument given but no session expiry interval specified."},
		{pub, "-t a -m b -x -2", "session-expiry-interval out of range."},
		{pub, "-t a -m b -x 4294967296", "session-expiry-interval out of range."},
		{pub, "-t a -m b -x foo", "session-expiry-interval not a number."},
		{pub, "-t a -m b --will-payload x", "Will payload given, but no will topic given."},
		{pub, "-t a -m b --will-retain", "Will retain given, but no will topic given."},
		{pub, "-t a -m b --will-qos 4", "Invalid will QoS given: 4; it must be 0, 1 or 2."},
		{pub, "-t a -m b --will-topic x/#", "Invalid will topic 'x/#', does it contain '+' or '#'?"},
		{pub, "-t a -m b --repeat 0", "--repeat argument must be >0."},
		{pub, "-t a -m b --repeat-delay -1", "--repeat-delay argument must be >=0.0."},
		{pub, "-t a -m b --repeat-delay NaN", "--repeat-delay argument must be >=0.0."},
		{pub, "-t a -m b -M 0", "Maximum inflight messages must be greater than 0."},
		{pub, "-m b -L foo://x", "Unsupported URL scheme."},
		{pub, "-m b -L mqtt:x", "Unsupported URL scheme."},
		{pub, "-m b -L mqtt://x", "Invalid URL for -L argument specified - topic missing."},
		{pub, "-m b -L mqtt:///t", "Invalid URL for -L argument specified - host missing."},
		{pub, "-m b -L mqtt://h:x/t", "Invalid port given: x; it must be between 1 and 65535."},
		{pub, "-m b -L mqtt://h/a/+", "Invalid publish topic 'a/+', does it contain '+' or '#'?"},
		{pub, "-t a -m b -C 1", "Unknown option '-C', see 'colibri pub --help'."},
		{pub, "-t a -m b extra", "Unknown option 'extra', see 'colibri pub --help'."},
		{pub, "-t a -m b --topc", "Unknown option '--topc'; the nearest is '--topic', see 'colibri pub --help'."},
		{pub, "-t a -m b --message=x", "Unknown option '--message=x'; the nearest is '--message', see 'colibri pub --help'."},
		{pub, "--user x", "Unknown option '--user'; the nearest is '--username', see 'colibri pub --help'."},
		{sub, "--retain-olny", "Unknown option '--retain-olny'; the nearest is '--retained-only', see 'colibri sub --help'."},
		{sub, "-t a -z", "Unknown option '-z', see 'colibri sub --help'."},
		{pub, "-t a -m b --psk 00", "'--psk' is known, but there is no TLS with pre-shared keys here; use certificates, with --cafile."},
		{pub, "-t a -m b --tls-engine x", "'--tls-engine' is known, but this program has no engines of OpenSSL; write the key into a file, and name it with --key."},
		{pub, "-t a -m b --keyform engine", "'--keyform' is known, but this program has no engines of OpenSSL; write the key into a file."},
		{pub, "-t a -m b --keyform der", "If keyform is set, keyform must be \"pem\"."},
		{pub, "-t a -m b --cert x", "Both certfile and keyfile must be provided if one of them is set."},
		{pub, "-t a -m b --no-tls --cafile x", "Combining '--no-tls' and '--cafile' makes no sense."},
		{pub, "-t a -m b --unix /run/s --cafile x", "Combining '--unix' and '--cafile' makes no sense."},
		{pub, "-t a -m b --insecure", "'--insecure' is for TLS, which nothing asks for: add --cafile, --capath, --tls-use-os-certs or -p 8883."},
		{pub, "-t a -m b --ws --unix /run/s", "Combining '--ws' and '--unix' makes no sense."},
		{pub, "-t a -m b -S --ws", "Combining '-S' and '--ws' makes no sense: SRV records name ports without WebSocket."},
		{pub, "-t a -m b -S --unix /run/s", "Combining '-S' and '--unix' makes no sense."},
		{pub, "-t a -m b --proxy socks5h://h --unix /run/s", "Combining '--proxy' and '--unix' makes no sense."},
		{pub, "-t a -m b --proxy http://h", "Unsupported proxy protocol: write socks5h://HOST:PORT, or socks5h://USER:PASSWORD@HOST:PORT."},
		{pub, "-t a -m b --proxy socks5h://u:geheim@h:x", "The port of the proxy is 'x', and must be between 1 and 65535."},
		{pub, "-t a -m b --proxy", "--proxy argument given but no proxy url specified."},
		{pub, "-t a -m b -D", "--property argument given but not enough arguments specified."},
		{pub, "-t a -m b -D publish content-type", "--property argument given but not enough arguments specified."},
		{pub, "-t a -m b -D publish user-property x", "--property argument given but not enough arguments specified."},
		{pub, "-t a -m b -D foo content-type x", "Invalid command given in --property argument: 'foo' is none of connect, publish, subscribe, unsubscribe, disconnect, will."},
		{pub, "-t a -m b -D publish contenttype x", "Invalid property name given in --property argument: 'contenttype', the nearest is 'content-type'."},
		{pub, "-t a -m b -D publish foo x", "Invalid property name given in --property argument: 'foo'."},
		{pub, "-t a -m b -D publish session-expiry-interval 3", "session-expiry-interval property not allowed for publish in --property argument."},
		{pub, "-t a -m b -D publish subscription-identifier 3", "subscription-identifier property not allowed for publish in --property argument."},
		{pub, "-t a -m b -D connect content-type 3", "content-type property not allowed for connect in --property argument."},
		{pub, "-t a -m b -D connect receive-maximum 70000", "Property value (70000) out of range for property receive-maximum."},
		{pub, "-t a -m b -D publish message-expiry-interval -4", "Property value (-4) out of range for property message-expiry-interval."},
		{pub, "-t a -m b -D connect receive-maximum x", "Property value (x) of property receive-maximum is not a number."},
		{pub, "-t a -m b -D connect receive-maximum 0", "Invalid CONNECT properties: Receive Maximum is 0."},
		{pub, "-t a -m b -D publish payload-format-indicator 4", "Invalid PUBLISH properties: Payload Format Indicator is too large."},
		{pub, "-t a -m b -D publish topic-alias 0", "Invalid PUBLISH properties: Topic Alias is 0."},
		{pub, "-t a -m b -D publish content-type x -D publish content-type y", "Invalid PUBLISH properties: Content Type is there twice."},
		{pub, "-t a -m b -D auth authentication-method x", "authentication-method property not supported for auth in --property argument."},
		{pub, "-t a -m b -D connack reason-string x", "reason-string property not supported for connack in --property argument."},
		{pub, "-t a -m b -D publish content-type x -V 311", "Properties exist in MQTT 5.0 only, but the options ask for MQTT 3.1.1."},
		{pub, "-t a -m b -x 5 -D connect session-expiry-interval 5", "The session expiry interval is given twice, by -x or -c and by -D."},
		{sub, "", "You must specify a topic to subscribe to (-t) or unsubscribe from (-U)."},
		{sub, "-t a/#/b", "Invalid subscription topic 'a/#/b', are all '+' and '#' wildcards correct?"},
		{sub, "-t a -U a/#/b", "Invalid unsubscribe topic 'a/#/b', are all '+' and '#' wildcards correct?"},
		{sub, "-t a -T a/#/b", "Invalid filter topic 'a/#/b', are all '+' and '#' wildcards correct?"},
		{sub, "-t a -C 0", "Invalid message count \"0\"; it must be a whole number from 1."},
		{sub, "-t a -C x", "Invalid message count \"x\"; it must be a whole number from 1."},
		{sub, "-t a -W 0", "Invalid timeout \"0\"; it must be whole seconds, from 1."},
		{sub, "-t a --random-filter 0", "--random-filter chance must be between 0.1-100.0"},
		{sub, "-t a --random-filter 101", "--random-filter chance must be between 0.1-100.0"},
		{sub, "-t a --retain-handling foo", "Unknown value 'foo' for --retain-handling."},
		{sub, "-t a -R --retained-only", "Combining '-R' and '--retained-only' makes no sense."},
		{sub, "-t a -F %z", "Invalid format specifier 'z'."},
		{rr, "", "All of topic, message, and response topic must be supplied."},
		{rr, "-t a -m x", "All of topic, message, and response topic must be supplied."},
		{rr, "-t a -e b", "All of topic, message, and response topic must be supplied."},
		{rr, "-t a -e b/# -m x", "Invalid response topic 'b/#', does it contain '+' or '#'?"},
		{rr, "-t a -e b -l", "Unknown option '-l', see 'colibri rr --help'."},
		{rr, "-t a -e b -o", "-o argument given but no options file specified."},
		{rr, "-o a -o b", "Duplicate -o argument given."},
		{rr, "-o /does/not/exist", "Unable to open options file \"/does/not/exist\": no such file or directory."},
	} {
		t.Run(testNames[test.program]+" "+test.line, func(t *testing.T) {
			_, err := parseOptions(test.program, testNames[test.program], words(test.line))
			if err == nil || err.Error() != test.want {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
}

func TestTopicMistakePointsAtTheCharacter(t *testing.T) {
	isolate(t)
	_, err := parseOptions(sub, "colibri sub", []string{"-t", "maison/#/temperature"})
	usage, ok := err.(*usageError)
	if want := "maison/#/temperature\n       ^ must be the last level"; !ok || usage.pointer != want {
		t.Errorf("got %#v, want the pointer\n%s", err, want)
	}
}

func TestHelpComesBeforeMistakes(t *testing.T) {
	isolate(t)
	for line, want := range map[string]error{
		"-t a --help":             errHelp,
		"--help --foo":            errHelp,
		"--version":               errVersion,
		"-t a/# --version --help": errVersion,
	} {
		if _, err := parseOptions(pub, "colibri pub", words(line)); err != want {
			t.Errorf("%s: got %v, want %v", line, err, want)
		}
	}
}

func TestCommandLineIntoOptions(t *testing.T) {
	isolate(t)
	pointer := func(s string) *string { return &s }
	for _, test := range []struct {
		program program
		line    string
		change  func(o *options)
	}{
		{pub, "-t a -m b", func(o *options) {}},
		{pub, "--topic a --message b --host h --port 1 --keepalive 5 --qos 2 --retain --debug --quiet --nodelay", func(o *options) {
			o.host, o.port, o.keepAlive, o.qos, o.retain, o.debug, o.quiet, o.noDelay = "h", 1, 5*time.Second, 2, true, true, true, true
		}},
		{pub, "-m b -L mqtts://h/a", func(o *options) { o.host, o.port, o.tls.asked = "h", 8883, true }},
		{pub, "-m b -L wss://h:443/a", func(o *options) { o.host, o.port, o.tls.asked, o.webSocket = "h", 443, true, true }},
		{pub, "-t a -m b --cafile ca --capath d --cert c --key k --keyform pem --insecure --tls-version tlsv1.3 --tls-alpn mqtt --ciphers A --tls-keylog l --tls-use-os-certs", func(o *options) {
			o.tls = tlsOptions{caFile: "ca", caPath: "d", certFile: "c", keyFile: "k", insecure: true, version: "tlsv1.3", alpn: "mqtt", ciphers: "A", keyLog: "l", osCerts: true}
		}},
		{pub, "-t a -m b --unix /run/s --no-tls", func(o *options) { o.host, o.port, o.tls.off = "/run/s", 0, true }},
		{pub, "-t a -m b -A 127.0.0.2 -M 3 --repeat 4 --repeat-delay 1.5", func(o *options) {
			o.bind, o.maxInflight, o.repeat, o.repeatDelay = "127.0.0.2", 3, 4, 1500*time.Millisecond
		}},
		{pub, "-t a -m b -u n --pw p --id i --disable-clean-session", func(o *options) {
			o.userName, o.password, o.id, o.cleanStart = pointer("n"), pointer("p"), pointer("i"), false
		}},
		{pub, "-t a -m b -V mqttv31 --id-prefix x-", func(o *options) { o.version, o.idPrefix = colibri.V31, pointer("x-") }},
		{pub, "-t a -m b -x ∞ -i i", func(o *options) {
			o.version, o.sessionExpiry, o.id = colibri.V5, 1<<32-1, pointer("i")
			o.properties["connect"] = colibri.Properties{{ID: colibri.SessionExpiryInterval, Number: 1<<32 - 1}}
		}},
		{pub, "-t a -m b -V 5 -c -i i", func(o *options) {
			o.version, o.sessionExpiry, o.id, o.cleanStart = colibri.V5, 1<<32-1, pointer("i"), false
			o.properties["connect"] = colibri.Properties{{ID: colibri.SessionExpiryInterval, Number: 1<<32 - 1}}
		}},
		{pub, "-t a -m b -x 0x10", func(o *options) {
			o.version, o.sessionExpiry = colibri.V5, 16
			o.properties["connect"] = colibri.Properties{{ID: colibri.SessionExpiryInterval, Number: 16}}
		}},
		{pub, "-t a -m b --will-topic w --will-payload p --will-qos 1 --will-retain -D will will-delay-interval 9", func(o *options) {
			o.version, o.willTopic, o.willPayload, o.willQoS, o.willRetain = colibri.V5, pointer("w"), pointer("p"), 1, true
			o.properties["will"] = colibri.Properties{{ID: colibri.WillDelayInterval, Number: 9}}
		}},
		{pub, "-t a -m b -D PUBLISH User-Property n v --property publish content-type c", func(o *options) {
			o.version = colibri.V5
			o.properties["publish"] = colibri.Properties{}.AppendUser("n", "v").AppendValue(colibri.ContentType, "c")
		}},
		{pub, "-t x -m b -L mqtt://me:se:cret@h@ost:99/a", func(o *options) {
			o.userName, o.password, o.host, o.port = pointer("me"), pointer("se:cret@h"), "ost", 99
		}},
		{pub, "-t a -m b --ws", func(o *options) { o.webSocket = true }},
		{pub, "-m b -L ws://h/a", func(o *options) { o.host, o.port, o.webSocket = "h", 1883, true }},
		{pub, "-m b -L MQTT://[::1]:99/a", func(o *options) { o.host, o.port = "::1", 99 }},
		{pub, "-m b -L mqtt://[::1]/a", func(o *options) { o.host, o.port = "::1", 1883 }},
		{sub, "-t a -t b -T c -U d -C 3 -W 4 -E -R -N -v --pretty -w", func(o *options) {
			o.filters, o.filtersOut, o.unsubscribe = []string{"a", "b"}, []string{"c"}, []string{"d"}
			o.count, o.timeout, o.exitAfterSubscribe, o.hideRetained, o.noEOL, o.verbose, o.pretty, o.watch = 3, 4*time.Second, true, true, true, true, true, true
		}},
		{sub, "-U d", func(o *options) { o.unsubscribe = []string{"d"} }},
		{sub, "-L mqtt://h/a/# --retained-only --remove-retained --retain-as-published --retain-handling new --random-filter 50 --message-rate", func(o *options) {
			o.host, o.port, o.filters = "h", 1883, []string{"a/#"}
			o.retainedOnly, o.removeRetained, o.retainAsPublished, o.retainHandling, o.randomFilter, o.rate = true, true, true, colibri.SendRetainedIfNew, 50, true
		}},
		{rr, "-t a -e e -n --latency", func(o *options) {
			o.responseTopic, o.source, o.message, o.latency = pointer("e"), sourceNull, "", true
		}},
	} {
		t.Run(testNames[test.program]+" "+test.line, func(t *testing.T) {
			got, err := parseOptions(test.program, testNames[test.program], words(test.line))
			if err != nil {
				t.Fatal(err)
			}
			want := newOptions(test.program)
			if test.program != sub {
				want.topic, want.source, want.message = pointer("a"), sourceArgument, "b"
			}
			test.change(want)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(options{}, tlsOptions{})); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestOptionsFile(t *testing.T) {
	directory := isolate(t)
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("mosquitto_pub", "# my server\n-h  broker.example\r\n\n--id abc def\n-D publish user-property full name a b c\n-D publish content-type text/plain; charset=utf-8\n-q 1\n")
	o, err := parseOptions(pub, "colibri pub", words("-t a -m b -q 2"))
	if err != nil {
		t.Fatal(err)
	}
	if o.host != "broker.example" || *o.id != "abc def" || o.qos != 2 {
		t.Errorf("got host %q, id %q, QoS %d; want broker.example, \"abc def\" and the QoS 2 of the command line", o.host, *o.id, o.qos)
	}
	want := colibri.Properties{}.AppendUser("full", "name a b c").AppendValue(colibri.ContentType, "text/plain; charset=utf-8")
	if diff := cmp.Diff(want, o.properties["publish"]); diff != "" {
		t.Errorf("properties, want (-), got (+):\n%s", diff)
	}

	other := write("other", "-h elsewhere\n-V 5")
	o, err = parseOptions(pub, "colibri pub", []string{"-t", "a", "-o", other, "-m", "-o"})
	if err != nil {
		t.Fatal(err)
	}
	if o.host != "elsewhere" || o.id != nil || o.message != "-o" {
		t.Errorf("got host %q, id %v, message %q; want -o to replace the default file", o.host, o.id, o.message)
	}

	for text, want := range map[string]string{
		"-h x\n\n--hots y": ":3: Unknown option '--hots'; the nearest is '--host', see 'colibri pub --help'.",
		"-q":               ":1: -q argument given but no QoS specified.",
		"-q 7":             ":1: Invalid QoS given: 7; it must be 0, 1 or 2.",
		"-D publish":       ":1: --property argument given but not enough arguments specified.",
		"-t a/#":           ":1: Invalid publish topic 'a/#', does it contain '+' or '#'?",
		"-r yes":           ":1: Unknown option 'yes', see 'colibri pub --help'.",
		"--psk 00":         ":1: '--psk' is known, but there is no TLS with pre-shared keys here; use certificates, with --cafile.",
	} {
		path := write("bad", text)
		_, err := parseOptions(pub, "colibri pub", []string{"-o", path, "-t", "a", "-m", "b"})
		if err == nil || err.Error() != path+want {
			t.Errorf("file %q: got error %v, want %s", text, err, path+want)
		}
	}
}

func TestDefaultOptionsFileInHome(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("HOME", home)
	if err := os.MkdirAll(filepath.Join(home, ".config"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".config", "mosquitto_sub"), []byte("-t from/home\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := parseOptions(sub, "colibri sub", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"from/home"}, o.filters); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestClientID(t *testing.T) {
	random := func() string { return "Random" }
	o := newOptions(pub)
	if got := o.clientID(random); got != "" {
		t.Errorf("3.1.1: got %q, want the empty id that lets the server choose", got)
	}
	o.version = colibri.V31
	if got := o.clientID(random); got != "mosq-Random" {
		t.Errorf("3.1: got %q, want mosq-Random", got)
	}
	prefix := "pre-"
	o.idPrefix = &prefix
	if got := o.clientID(random); !strings.HasPrefix(got, "pre-") || len(got) == len(prefix) {
		t.Errorf("-I: got %q, want the prefix and a number", got)
	}
}

// Every flag must have a help text and a way to be applied, and no two flags of a
// program may share a name.
func TestFlagTable(t *testing.T) {
	for _, p := range []program{pub, sub, rr} {
		seen := map[string]bool{}
		for i := range flags {
			f := &flags[i]
			if f.in&p == 0 {
				continue
			}
			for _, name := range f.names {
				if seen[name] {
					t.Errorf("%s has %s twice", testNames[p], name)
				}
				seen[name] = true
			}
			if f.help == "" || (f.apply == nil) == (f.applyList == nil) || f.value != "" && f.missing == "" && f.applyList == nil {
				t.Errorf("the entry of %s is incomplete", f.names[0])
			}
		}
	}
}

package cli

import (
	"errors"
	"math"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri"
)

// group is a heading of --help.
type group uint8

const (
	groupMessage group = iota
	groupSubscription
	groupOutput
	groupServer
	groupTLS
	groupIdentity
	groupWill
	groupProperties
	groupOther
	groupLater
)

var groupTitles = [...]string{
	groupMessage:      "Message",
	groupSubscription: "Subscription",
	groupOutput:       "Output",
	groupServer:       "Server",
	groupTLS:          "TLS",
	groupIdentity:     "Identity and session",
	groupWill:         "Will Message",
	groupProperties:   "MQTT 5.0 properties",
	groupOther:        "Other",
	groupLater:        "Known, and refused",
}

// flag is one entry of the table that drives parsing, options files, --help and
// completion.
type flag struct {
	names   []string // as they are typed, the one that error texts use first
	in      program
	group   group
	value   string   // placeholder of its value; empty if it takes none
	missing string   // what is missing when there is no value: "host"
	values  []string // the values to offer in completion
	file    bool     // the value is the name of a file
	help    string
	apply   func(o *options, value string) error

	// applyList is for -D, the one flag with more than one value.
	applyList func(o *options, values []string) error
}

// Mistakes that are not mistakes: the person asks for a text instead of a run.
var (
	errHelp    = errors.New("help was asked for")
	errVersion = errors.New("the version was asked for")
)

// lookup returns the flag of p that is called name, or nil.
func lookup(p program, name string) *flag {
	for i := range flags {
		if flags[i].in&p == 0 {
			continue
		}
		for _, n := range flags[i].names {
			if n == name {
				return &flags[i]
			}
		}
	}
	return nil
}

var flags []flag

// The table is filled here and not in its declaration, because --help reads it.
func init() {
	flags = []flag{
		{names: []string{"-t", "--topic"}, in: pub | rr, group: groupMessage, value: "TOPIC", missing: "topic",
			help: "the Topic Name to publish to", apply: setTopic},
		{names: []string{"-e"}, in: rr, group: groupMessage, value: "TOPIC", missing: "response topic",
			help: "the Response Topic: where the answer is awaited", apply: setResponseTopic},
		{names: []string{"-m", "--message"}, in: pub | rr, group: groupMessage, value: "TEXT", missing: "message",
			help: "send TEXT as the payload", apply: setSource(sourceArgument)},
		{names: []string{"-f", "--file"}, in: pub | rr, group: groupMessage, value: "FILE", missing: "file", file: true,
			help: "send what FILE holds as the payload", apply: setSource(sourceFile)},
		{names: []string{"-s", "--stdin-file"}, in: pub | rr, group: groupMessage,
			help: "send all of standard input as one payload", apply: setSource(sourceStdin)},
		{names: []string{"-l", "--stdin-line"}, in: pub, group: groupMessage,
			help: "send each line of standard input as a message of its own", apply: setSource(sourceLines)},
		{names: []string{"-n", "--null-message"}, in: pub | rr, group: groupMessage,
			help: "send an empty payload; with -r it clears the Retained Message", apply: setSource(sourceNull)},
		{names: []string{"-q", "--qos"}, in: pub | rr, group: groupMessage, value: "QOS", missing: "QoS", values: []string{"0", "1", "2"},
			help: "Quality of Service: 0 at most once (the default), 1 at least once, 2 exactly once", apply: setQoS},
		{names: []string{"-r", "--retain"}, in: pub, group: groupMessage,
			help:  "the server keeps the message for later subscribers",
			apply: set(func(o *options) { o.retain = true })},
		{names: []string{"--repeat"}, in: pub, group: groupMessage, value: "N", missing: "count",
			help: "publish the message N times (not with -l)", apply: setRepeat},
		{names: []string{"--repeat-delay"}, in: pub, group: groupMessage, value: "SECONDS", missing: "time",
			help: "wait so long between two repetitions; fractions are allowed", apply: setRepeatDelay},

		{names: []string{"-t", "--topic"}, in: sub | topicTree, group: groupSubscription, value: "FILTER", missing: "topic",
			help: "a Topic Filter to subscribe to; may be given many times", apply: addFilter},
		{names: []string{"-T", "--filter-out"}, in: sub | topicTree, group: groupSubscription, value: "FILTER", missing: "topic filter",
			help: "hide messages whose topic matches FILTER; may be given many times", apply: addFilterOut},
		{names: []string{"-U", "--unsubscribe"}, in: sub, group: groupSubscription, value: "FILTER", missing: "unsubscribe topic",
			help: "end a Subscription of this session; may be given many times, with or without -t", apply: addUnsubscribe},
		{names: []string{"-q", "--qos"}, in: sub, group: groupSubscription, value: "QOS", missing: "QoS", values: []string{"0", "1", "2"},
			help: "the highest Quality of Service to receive with: 0 (the default), 1 or 2", apply: setQoS},
		{names: []string{"-C"}, in: sub | topicTree, group: groupSubscription, value: "COUNT", missing: "count",
			help: "end after COUNT messages", apply: setCount},
		{names: []string{"-W"}, in: sub | rr, group: groupSubscription, value: "SECONDS", missing: "timeout",
			help: "end after SECONDS, with exit code 27", apply: setTimeout},
		{names: []string{"-W"}, in: topicTree, group: groupSubscription, value: "SECONDS", missing: "timeout",
			help: "look for SECONDS and end: a snapshot looks for 2, the live tree until it is told to end", apply: setWindow},
		{names: []string{"--max-topics"}, in: topicTree, group: groupSubscription, value: "N", missing: "number of topics",
			help: "keep the first N topics that come, 1 to 100000 (10000); further ones are only counted", apply: setMaxTopics},
		{names: []string{"-E"}, in: sub, group: groupSubscription,
			help:  "end as soon as the server has acknowledged the Subscriptions",
			apply: set(func(o *options) { o.exitAfterSubscribe = true })},
		{names: []string{"-R"}, in: sub | rr, group: groupSubscription,
			help: "hide messages with the RETAIN flag, which are older than the Subscription", apply: set(func(o *options) {
				o.hideRetained = true
			})},
		{names: []string{"--retained-only"}, in: sub, group: groupSubscription,
			help:  "print only messages with the RETAIN flag, and end at the first without",
			apply: set(func(o *options) { o.retainedOnly = true })},
		{names: []string{"--remove-retained"}, in: sub, group: groupSubscription,
			help:  "clear on the server each Retained Message received, but for those that -T hides",
			apply: set(func(o *options) { o.removeRetained = true })},
		{names: []string{"--retain-as-published"}, in: sub | rr, group: groupSubscription,
			help:  "MQTT 5.0: keep the RETAIN flag as the publisher set it",
			apply: set(func(o *options) { o.retainAsPublished = true })},
		{names: []string{"--retain-handling"}, in: sub | rr, group: groupSubscription, value: "WHEN", missing: "option",
			values: []string{"always", "new", "never"},
			help:   "MQTT 5.0: send Retained Messages always (the default), new (only to a new Subscription) or never", apply: setRetainHandling},
		{names: []string{"--random-filter"}, in: sub, group: groupSubscription, value: "PERCENT", missing: "chance",
			help: "print that part of the messages, picked by chance: 0.1 to 100", apply: setRandomFilter},

		{names: []string{"-v", "--verbose"}, in: sub | rr, group: groupOutput,
			help:  "print the topic before the payload",
			apply: set(func(o *options) { o.verbose = true })},
		{names: []string{"-F"}, in: sub | rr, group: groupOutput, value: "FORMAT", missing: "format",
			values: []string{"%j", "%J", "%t %p", "%I %t %p", "%x"},
			help:   "print each message as FORMAT says; see below", apply: setFormat},
		{names: []string{"--once"}, in: topicTree, group: groupOutput,
			help:  "print one snapshot, on a terminal too",
			apply: set(func(o *options) { o.once = true })},
		{names: []string{"--json"}, in: topicTree, group: groupOutput,
			help:  "print one snapshot as one JSON object",
			apply: set(func(o *options) { o.json = true })},
		{names: []string{"-N"}, in: sub | rr, group: groupOutput,
			help:  "do not end each message with a new line",
			apply: set(func(o *options) { o.noEOL = true })},
		{names: []string{"--pretty"}, in: sub | rr, group: groupOutput,
			help:  "print JSON (%j, %J) over several lines",
			apply: set(func(o *options) { o.pretty = true })},
		{names: []string{"-w", "--watch"}, in: sub, group: groupOutput,
			help:  "give each topic a line of the screen of its own, and overwrite it",
			apply: set(func(o *options) { o.watch = true })},
		{names: []string{"--message-rate"}, in: sub, group: groupOutput,
			help:  "print each second how many messages arrived, instead of the messages",
			apply: set(func(o *options) { o.rate = true })},
		{names: []string{"--latency"}, in: rr, group: groupOutput,
			help:  "print how long the answer took",
			apply: set(func(o *options) { o.latency = true })},

		{names: []string{"-h", "--host"}, in: all, group: groupServer, value: "HOST", missing: "host",
			help: "name or address of the server (localhost)", apply: setHost},
		{names: []string{"-p", "--port"}, in: all, group: groupServer, value: "PORT", missing: "port",
			help: "TCP port of the server (1883; 8883 with TLS)", apply: setPort},
		{names: []string{"-L", "--url"}, in: all, group: groupServer, value: "URL", missing: "URL",
			help: "user, password, host, port and topic in one: mqtt://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC, or ws:// for WebSocket, mqtts:// and wss:// with TLS", apply: setURL},
		{names: []string{"--unix"}, in: all, group: groupServer, value: "PATH", missing: "socket path", file: true,
			help: "connect to the Unix socket PATH", apply: func(o *options, value string) error {
				o.host, o.port = value, 0
				return nil
			}},
		{names: []string{"--ws"}, in: all, group: groupServer,
			help: "connect by WebSocket, to the path /mqtt", apply: set(func(o *options) { o.webSocket = true })},
		{names: []string{"-A"}, in: all, group: groupServer, value: "ADDRESS", missing: "address",
			help: "connect from this address of the own machine", apply: func(o *options, value string) error {
				o.bind = value
				return nil
			}},
		{names: []string{"-S"}, in: all, group: groupServer,
			help: "take -h for a domain, and ask DNS for its servers and their ports: the SRV records _mqtt._tcp", apply: set(func(o *options) { o.srv = true })},
		{names: []string{"--proxy"}, in: all, group: groupServer, value: "URL", missing: "proxy url",
			help: "connect through the SOCKS5 proxy socks5h://[USER[:PASSWORD]@]HOST[:PORT], which looks the host up", apply: setProxy},
		{names: []string{"--nodelay"}, in: all, group: groupServer,
			help:  "send small packets at once (always so here)",
			apply: set(func(o *options) { o.noDelay = true })},
		{names: []string{"-k", "--keepalive"}, in: all, group: groupServer, value: "SECONDS", missing: "keepalive",
			help: "Keep Alive: 5 to 65535 (60)", apply: setKeepAlive},
		{names: []string{"-V", "--protocol-version"}, in: all, group: groupServer, value: "VERSION", missing: "version",
			values: []string{"5", "311", "31"},
			help:   "the version of MQTT: 31, 311 or 5, also mqttv31, mqttv311, mqttv5 (311; rr and topic tree: 5)", apply: setVersion},
		{names: []string{"-M"}, in: all &^ topicTree, group: groupServer, value: "N", missing: "max_inflight",
			help: "send at most N messages of QoS 1 and 2 before their acknowledgement (20; sub: as many as the server takes)", apply: setMaxInflight},

		{names: []string{"-i", "--id"}, in: all, group: groupIdentity, value: "ID", missing: "id",
			help: "the Client Identifier; else the server chooses one", apply: setID},
		{names: []string{"-I", "--id-prefix"}, in: all, group: groupIdentity, value: "PREFIX", missing: "id prefix",
			help: "the Client Identifier is PREFIX and the number of this process", apply: setIDPrefix},
		{names: []string{"-u", "--username"}, in: all, group: groupIdentity, value: "NAME", missing: "username",
			help: "the User Name", apply: setText("-u", func(o *options) **string { return &o.userName })},
		{names: []string{"-P", "--pw"}, in: all, group: groupIdentity, value: "PASSWORD", missing: "password",
			help: "the Password; other users of this machine may see it, an options file hides it",
			apply: func(o *options, value string) error {
				o.password = &value
				return nil
			}},
		{names: []string{"--auth-method"}, in: all, group: groupIdentity, value: "METHOD", missing: "authentication method", values: []string{scramMethodName},
			help: "MQTT 5.0: SCRAM-SHA-256 proves that the Password is known and does not send it, and has the server prove the same", apply: setAuthMethod},
		{names: []string{"-c", "--disable-clean-session"}, in: all, group: groupIdentity,
			help:  "keep the session on the server after this run; needs -i",
			apply: set(func(o *options) { o.cleanStart = false })},
		{names: []string{"-x"}, in: all, group: groupIdentity, value: "SECONDS", missing: "session expiry interval",
			help: "MQTT 5.0: the server keeps the session so long; -1 or ∞ for ever", apply: setSessionExpiry},

		{names: []string{"--will-topic"}, in: all, group: groupWill, value: "TOPIC", missing: "will topic",
			help: "the server publishes a Will Message there if this client is lost", apply: setWillTopic},
		{names: []string{"--will-payload"}, in: all, group: groupWill, value: "TEXT", missing: "will payload",
			help: "its payload (empty)", apply: func(o *options, value string) error {
				o.willPayload = &value
				return nil
			}},
		{names: []string{"--will-qos"}, in: all, group: groupWill, value: "QOS", missing: "will QoS", values: []string{"0", "1", "2"},
			help: "its QoS (0)", apply: setWillQoS},
		{names: []string{"--will-retain"}, in: all, group: groupWill,
			help:  "the Will Message is retained",
			apply: set(func(o *options) { o.willRetain = true })},

		{names: []string{"-D", "--property"}, in: all, group: groupProperties, value: "COMMAND PROPERTY VALUE",
			help:      "add a property to the packets of COMMAND (connect, publish, subscribe, unsubscribe, disconnect, will); for user-property: COMMAND user-property NAME VALUE",
			applyList: addProperty},

		{names: []string{"-o"}, in: all, group: groupOther, value: "FILE", missing: "options file", file: true,
			help: "read more options from FILE, one a line, instead of from the default file", apply: func(*options, string) error {
				return nil // read before the command line is applied
			}},
		{names: []string{"-d", "--debug"}, in: all &^ topicTree, group: groupOther,
			help:  "print each packet that is sent or received",
			apply: set(func(o *options) { o.debug = true })},
		{names: []string{"--quiet"}, in: all, group: groupOther,
			help:  "print no errors of the run",
			apply: set(func(o *options) { o.quiet = true })},
		{names: []string{"--help"}, in: all, group: groupOther,
			help: "print this text", apply: func(*options, string) error { return errHelp }},
		{names: []string{"--version"}, in: all, group: groupOther,
			help: "print the version", apply: func(*options, string) error { return errVersion }},
	}
	flags = append(flags, tlsFlags()...)
}

// refused makes the entry for flags that Mosquitto's programs have and ours will not: they
// are understood, and refused with text, a sentence that says what to do.
func refused(text, value string, names ...string) flag {
	return flag{names: names, in: all, group: groupLater, value: value, missing: "value", help: text,
		apply: func(*options, string) error { return &refusedError{text} }}
}

// refusedError refuses a flag.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// set makes the apply function of a flag without a value.
func set(change func(o *options)) func(*options, string) error {
	return func(o *options, _ string) error {
		change(o)
		return nil
	}
}

// setText makes the apply function of a flag whose value must be UTF-8 text.
func setText(name string, place func(o *options) **string) func(*options, string) error {
	return func(o *options, value string) error {
		if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			return usagef("Malformed UTF-8 in %s argument.", name)
		}
		*place(o) = &value
		return nil
	}
}

func setTopic(o *options, value string) error {
	if err := checkName("publish topic", value); err != nil {
		return err
	}
	o.topic = &value
	return nil
}

func setResponseTopic(o *options, value string) error {
	if err := checkName("response topic", value); err != nil {
		return err
	}
	o.responseTopic = &value
	return nil
}

func setWillTopic(o *options, value string) error {
	if err := checkName("will topic", value); err != nil {
		return err
	}
	o.willTopic = &value
	return nil
}

func addFilter(o *options, value string) error {
	if err := checkFilter("subscription topic", value); err != nil {
		return err
	}
	o.filters = append(o.filters, value)
	return nil
}

func addFilterOut(o *options, value string) error {
	if err := checkFilter("filter topic", value); err != nil {
		return err
	}
	o.filtersOut = append(o.filtersOut, value)
	return nil
}

func addUnsubscribe(o *options, value string) error {
	if err := checkFilter("unsubscribe topic", value); err != nil {
		return err
	}
	o.unsubscribe = append(o.unsubscribe, value)
	return nil
}

func setSource(source messageSource) func(*options, string) error {
	return func(o *options, value string) error {
		if o.source != noSource {
			return usagef("Only one type of message can be sent at once.")
		}
		o.source, o.message = source, value
		return nil
	}
}

func parseQoS(value, what string) (colibri.QoS, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > 2 {
		return 0, usagef("Invalid %s given: %s; it must be 0, 1 or 2.", what, value)
	}
	return colibri.QoS(n), nil
}

func setQoS(o *options, value string) (err error) {
	o.qos, err = parseQoS(value, "QoS")
	return err
}

func setWillQoS(o *options, value string) (err error) {
	o.willQoS, err = parseQoS(value, "will QoS")
	return err
}

func setRepeat(o *options, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return usagef("--repeat argument must be >0.")
	}
	o.repeat = n
	return nil
}

func setRepeatDelay(o *options, value string) error {
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || !(seconds >= 0) || seconds > math.MaxInt32 {
		return usagef("--repeat-delay argument must be >=0.0.")
	}
	o.repeatDelay = time.Duration(seconds * float64(time.Second))
	return nil
}

func setCount(o *options, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return usagef("Invalid message count \"%s\"; it must be a whole number from 1.", value)
	}
	o.count = n
	return nil
}

func setTimeout(o *options, value string) error {
	seconds, err := strconv.ParseUint(value, 10, 31)
	if err != nil || seconds < 1 {
		return usagef("Invalid timeout \"%s\"; it must be whole seconds, from 1.", value)
	}
	o.timeout = time.Duration(seconds) * time.Second
	return nil
}

func setWindow(o *options, value string) error {
	seconds, err := strconv.ParseUint(value, 10, 31)
	if err != nil || seconds < 1 {
		return usagef("Invalid timeout \"%s\"; it must be whole seconds, from 1.", value)
	}
	o.window = time.Duration(seconds) * time.Second
	return nil
}

func setMaxTopics(o *options, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 100_000 {
		return usagef("Invalid number of topics \"%s\"; it must be a whole number from 1 to 100000.", value)
	}
	o.maxTopics = n
	return nil
}

func setRetainHandling(o *options, value string) error {
	switch value {
	case "always":
		o.retainHandling = colibri.SendRetained
	case "new":
		o.retainHandling = colibri.SendRetainedIfNew
	case "never":
		o.retainHandling = colibri.NoRetained
	default:
		return usagef("Unknown value '%s' for --retain-handling.", value)
	}
	return nil
}

func setRandomFilter(o *options, value string) error {
	percent, err := strconv.ParseFloat(value, 64)
	if err != nil || !(percent >= 0.1 && percent <= 100) {
		return usagef("--random-filter chance must be between 0.1-100.0")
	}
	o.randomFilter = percent
	return nil
}

func setFormat(o *options, value string) error {
	f, err := parseFormat(value)
	if err != nil {
		return err
	}
	o.format = &f
	return nil
}

func setHost(o *options, value string) error {
	if value == "" { // which the network would take for this machine
		return usagef("-h argument given but the host is empty.")
	}
	o.host = value
	return nil
}

func setPort(o *options, value string) error {
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil || port == 0 {
		return usagef("Invalid port given: %s; it must be between 1 and 65535.", value)
	}
	o.port = int(port)
	return nil
}

func setKeepAlive(o *options, value string) error {
	seconds, err := strconv.ParseUint(value, 10, 16)
	if err != nil || seconds < 5 {
		return usagef("Invalid keepalive given, it must be between 5 and 65535 inclusive.")
	}
	o.keepAlive = time.Duration(seconds) * time.Second
	return nil
}

func setVersion(o *options, value string) error {
	switch strings.TrimPrefix(value, "mqttv") {
	case "31":
		o.version = colibri.V31
	case "311":
		o.version = colibri.V311
	case "5":
		o.version = colibri.V5
	default:
		return usagef("Invalid protocol version argument given: '%s' is none of 31, 311 and 5.", value)
	}
	return nil
}

func setMaxInflight(o *options, value string) error {
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil || n < 1 {
		return usagef("Maximum inflight messages must be greater than 0.")
	}
	o.maxInflight = int(n)
	return nil
}

func setID(o *options, value string) error {
	if o.idPrefix != nil {
		return usagef("-i and -I argument cannot be used together.")
	}
	return setText("-i", func(o *options) **string { return &o.id })(o, value)
}

func setIDPrefix(o *options, value string) error {
	if o.id != nil {
		return usagef("-i and -I argument cannot be used together.")
	}
	return setText("-I", func(o *options) **string { return &o.idPrefix })(o, value)
}

func setSessionExpiry(o *options, value string) error {
	seconds := int64(-1)
	if value != "∞" {
		var err error
		if seconds, err = strconv.ParseInt(value, 0, 64); errors.Is(err, strconv.ErrSyntax) {
			return usagef("session-expiry-interval not a number.")
		} else if err != nil || seconds < -1 || seconds > math.MaxUint32 {
			return usagef("session-expiry-interval out of range.")
		}
	}
	if seconds == -1 {
		seconds = math.MaxUint32
	}
	o.sessionExpiry = seconds
	o.version = colibri.V5
	return nil
}

// setURL takes mqtt://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC apart, or the same with ws. As in Mosquitto's
// programs nothing is decoded: "%40" stays "%40".
func setURL(o *options, value string) error {
	scheme, rest, ok := strings.Cut(value, "://")
	switch strings.ToLower(scheme) {
	case "mqtt":
	case "ws":
		o.webSocket = true
	case "mqtts":
		o.tls.asked = true
	case "quic":
		o.quic, o.tls.asked = true, true
	case "wss":
		o.webSocket, o.tls.asked = true, true
	default:
		ok = false
	}
	if !ok {
		return usagef("Unsupported URL scheme.")
	}
	server, name, ok := strings.Cut(rest, "/")
	if !ok {
		return usagef("Invalid URL for -L argument specified - topic missing.")
	}
	setTarget := setTopic
	if o.program&(sub|topicTree) != 0 {
		setTarget = addFilter
	}
	if err := setTarget(o, name); err != nil {
		return err
	}
	if at := strings.LastIndexByte(server, '@'); at >= 0 {
		user, password, ok := strings.Cut(server[:at], ":")
		if ok {
			o.password = &password
		}
		o.userName = &user
		server = server[at+1:]
	}
	o.host, o.port = server, 1883
	if o.tls.asked {
		o.port = 8883
	}
	if o.quic {
		o.port = 14567
	}
	if host, port, err := net.SplitHostPort(server); err == nil {
		o.host = host
		if err := setPort(o, port); err != nil {
			return err
		}
	}
	o.host = strings.Trim(o.host, "[]")
	if o.host == "" {
		return usagef("Invalid URL for -L argument specified - host missing.")
	}
	return nil
}

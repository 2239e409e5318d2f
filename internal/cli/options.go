package cli

import (
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/topic"
)

// program says which of the clients a flag belongs to; values are or-ed.
type program uint8

const (
	pub program = 1 << iota
	sub
	rr
	topicTree

	all = pub | sub | rr | topicTree
)

// messageSource says where pub and rr take the payload from.
type messageSource uint8

const (
	noSource messageSource = iota
	sourceArgument
	sourceFile
	sourceStdin
	sourceLines
	sourceNull
)

// options is what the command line and the options file of one run say.
type options struct {
	program program

	host      string
	port      int // 0: host is the path of a Unix socket; -1: the default
	bind      string
	noDelay   bool
	webSocket bool
	quic      bool               // of -L
	proxy     *transport.Proxy   // nil for none
	srv       bool               // host is a domain, whose SRV records name the servers
	resolver  transport.Resolver // nil for that of the system
	tls       tlsOptions

	id, idPrefix       *string // nil when not given
	userName, password *string
	authMethod         string         // empty for none
	method             *client.Method // of authMethod; nil without one
	keepAlive          time.Duration
	cleanStart         bool
	sessionExpiry      int64 // seconds; -1 when not given
	version            colibri.Version

	willTopic   *string
	willPayload *string
	willQoS     colibri.QoS
	willRetain  bool

	properties map[string]colibri.Properties // by the command of -D: "connect", "publish", …

	topic         *string
	responseTopic *string
	source        messageSource
	message       string // of -m, or the path of -f
	retain        bool
	repeat        int
	repeatDelay   time.Duration
	maxInflight   int

	filters            []string
	filtersOut         []string
	unsubscribe        []string
	count              int           // 0: no limit
	timeout            time.Duration // 0: none
	exitAfterSubscribe bool
	hideRetained       bool
	retainedOnly       bool
	removeRetained     bool
	retainAsPublished  bool
	retainHandling     colibri.RetainHandling
	randomFilter       float64 // percent

	qos     colibri.QoS
	debug   bool
	quiet   bool
	noEOL   bool
	verbose bool
	format  *format // nil when not given
	pretty  bool
	watch   bool
	rate    bool // --message-rate
	latency bool

	once      bool          // topic tree: one snapshot, on a terminal too
	json      bool          // topic tree
	window    time.Duration // topic tree: how long it looks; 0 when not given
	maxTopics int           // topic tree
}

func newOptions(p program) *options {
	o := &options{
		program:       p,
		host:          "localhost",
		port:          -1,
		keepAlive:     60 * time.Second,
		cleanStart:    true,
		sessionExpiry: -1,
		version:       colibri.V311,
		properties:    map[string]colibri.Properties{},
		repeat:        1,
		maxInflight:   20,
		randomFilter:  100,
	}
	switch p {
	case rr:
		o.version = colibri.V5
	case topicTree:
		o.version = colibri.V5
		o.retainAsPublished = true // so that the mark of a topic follows what is published
		o.maxTopics = 10_000
	case sub:
		o.maxInflight = 65_535 // --remove-retained is as fast as the server allows
	}
	return o
}

// check completes o after the last flag and refuses what does not fit together.
func (o *options) check() error {
	switch {
	case o.willPayload != nil && o.willTopic == nil:
		return usagef("Will payload given, but no will topic given.")
	case o.willRetain && o.willTopic == nil:
		return usagef("Will retain given, but no will topic given.")
	case o.hideRetained && o.retainedOnly:
		return usagef("Combining '-R' and '--retained-only' makes no sense.")
	case o.quic && (o.webSocket || o.proxy != nil || o.srv || o.bind != ""):
		return usagef("A quic:// URL cannot be combined with --ws, --proxy, -S or -A.")
	case o.webSocket && o.port == 0:
		return usagef("Combining '--ws' and '--unix' makes no sense.")
	case o.password != nil && o.userName == nil && o.version < colibri.V5: // [MQTT311-3.1.2-22]
		return usagef("-P argument given but no user name: MQTT %s allows a password only together with -u.", o.version)
	}
	if err := o.checkTLS(); err != nil {
		return err
	}
	if err := o.checkRoute(); err != nil {
		return err
	}
	if err := o.checkSession(); err != nil {
		return err
	}
	if err := o.checkAuthMethod(); err != nil {
		return err
	}
	if err := o.checkProperties(); err != nil {
		return err
	}
	switch o.program {
	case pub:
		if o.topic == nil || o.source == noSource {
			return usagef("Both topic and message must be supplied.")
		}
	case sub:
		if len(o.filters) == 0 && len(o.unsubscribe) == 0 {
			return usagef("You must specify a topic to subscribe to (-t) or unsubscribe from (-U).")
		}
	case topicTree:
		if len(o.filters) == 0 {
			o.filters = []string{"#"}
		}
	case rr:
		if o.topic == nil || o.source == noSource || o.responseTopic == nil {
			return usagef("All of topic, message, and response topic must be supplied.")
		}
		if o.properties["publish"].Has(colibri.ResponseTopic) {
			return usagef("The response topic is given twice, by -e and by -D.")
		}
	}
	return nil
}

// checkSession refuses a Session that outlives the connection without a Client
// Identifier to find it again, and turns -c and -x into the property of 5.0.
func (o *options) checkSession() error {
	named := o.id != nil && *o.id != ""
	if o.version < colibri.V5 {
		if !o.cleanStart && !named {
			return usagef("You must provide a client id if you are using the -c option.")
		}
		if o.version == colibri.V31 && o.id != nil && !named {
			return usagef("Invalid id: MQTT 3.1 does not allow an empty client id.")
		}
		return nil
	}
	const infinite = 1<<32 - 1
	if !o.cleanStart && o.sessionExpiry == -1 {
		o.sessionExpiry = infinite
	}
	if o.sessionExpiry <= 0 {
		return nil
	}
	if o.sessionExpiry == infinite && !named {
		return usagef("You must provide a client id if you are using an infinite session expiry interval.")
	}
	connect := o.properties["connect"]
	if connect.Has(colibri.SessionExpiryInterval) {
		return usagef("The session expiry interval is given twice, by -x or -c and by -D.")
	}
	o.properties["connect"] = connect.AppendNumber(colibri.SessionExpiryInterval, uint32(o.sessionExpiry))
	return nil
}

// clientID returns the Client Identifier to connect with. Empty means that the Server
// chooses one; MQTT 3.1 has no such thing, so that one is made up here.
func (o *options) clientID(random func() string) string {
	switch {
	case o.idPrefix != nil:
		return *o.idPrefix + strconv.Itoa(os.Getpid())
	case o.id != nil:
		return *o.id
	case o.version == colibri.V31:
		return "mosq-" + random()
	}
	return ""
}

// checkName returns a mistake that shows the offending character of a Topic Name.
// what is how the sentence calls it, such as "publish topic".
func checkName(what, name string) error {
	return pointAt(topic.CheckName(name), "Invalid %s '%s', does it contain '+' or '#'?", what, name)
}

// checkFilter does for a Topic Filter what checkName does for a Topic Name.
func checkFilter(what, filter string) error {
	return pointAt(topic.CheckFilter(filter), "Invalid %s '%s', are all '+' and '#' wildcards correct?", what, filter)
}

// pointAt turns an error of package topic into a usage error with a pointer.
func pointAt(err error, format, what, text string) error {
	if err == nil {
		return nil
	}
	mistake := usagef(format, what, text)
	var syntax *topic.SyntaxError
	if errors.As(err, &syntax) {
		mistake.pointer = syntax.Pointer()
	}
	return mistake
}

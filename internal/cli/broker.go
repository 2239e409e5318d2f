package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/accept"
	"github.com/colibri-mqtt/colibri/internal/acl"
	"github.com/colibri-mqtt/colibri/internal/auth"
	"github.com/colibri-mqtt/colibri/internal/config"
	"github.com/colibri-mqtt/colibri/internal/history"
)

// Exit codes of the broker, besides exitOK. They are those of Mosquitto.
const (
	exitBrokerFailed = 1 // could not listen, or a listener broke
	exitConfig       = 3 // mistake in the command line or in a configuration file
)

// shutdownTime is how long the clients have for their last packets. With it the broker
// ends within five seconds of the signal.
const shutdownTime = 4 * time.Second

// drainTime is how long it may take before that to send the clients elsewhere.
const drainTime = time.Minute

// brokerOptions are the flags of the broker.
type brokerOptions struct {
	configFile     string
	keyLogFile     string // of TLS
	ports          []int
	verbose, quiet bool
	test           bool
	help, version  bool
}

// brokerFlag is one flag of the broker.
type brokerFlag struct {
	names []string
	value string // what the value is called in the help; empty without one
	help  string
	later bool // known, but this version does not have it
	apply func(o *brokerOptions, value string) error
}

var brokerFlags = []brokerFlag{
	{names: []string{"-c", "--config-file"}, value: "FILE", help: "read the configuration from FILE, which is written as a mosquitto.conf",
		apply: func(o *brokerOptions, value string) error { o.configFile = value; return nil }},
	{names: []string{"-p", "--port"}, value: "PORT", help: "listen on PORT of this machine instead of 1883; repeat it for more ports; 0 is any free port",
		apply: func(o *brokerOptions, value string) error {
			port, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				return usagef("'%s' is not a port; give a number from 0 to 65535.", value)
			}
			o.ports = append(o.ports, int(port))
			return nil
		}},
	{names: []string{"-v", "--verbose"}, help: "log everything, also each subscription",
		apply: func(o *brokerOptions, _ string) error { o.verbose = true; return nil }},
	{names: []string{"-q", "--quiet"}, help: "log errors only; wins over -v",
		apply: func(o *brokerOptions, _ string) error { o.quiet = true; return nil }},
	{names: []string{"--tls-keylog"}, value: "FILE", help: "append the secrets of all TLS connections to FILE, for Wireshark; who has it can read them",
		apply: func(o *brokerOptions, value string) error { o.keyLogFile = value; return nil }},
	{names: []string{"--test-config"}, help: "check the configuration and end: exit code 0 if it is right, 3 if not",
		apply: func(o *brokerOptions, _ string) error { o.test = true; return nil }},
	{names: []string{"--version"}, help: "print the version",
		apply: func(o *brokerOptions, _ string) error { o.version = true; return nil }},
	{names: []string{"-h", "--help"}, help: "print this help",
		apply: func(o *brokerOptions, _ string) error { o.help = true; return nil }},
	{names: []string{"-d", "--daemon"}, later: true, help: "Start it without -d in the background, with '&' or a service manager."},
}

func brokerCommand() command {
	return command{
		name:      "broker",
		mosquitto: "mosquitto",
		summary:   "Run an MQTT broker",
		run:       runBroker,
		help:      writeBrokerHelp,
		complete:  completeBroker,
	}
}

// completeBroker offers what a shell can put in place of typed, behind args.
func completeBroker(args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		switch args[len(args)-1] {
		case "-c", "--config-file", "--tls-keylog":
			return nil, cobra.ShellCompDirectiveDefault
		case "-p", "--port":
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
	var offers []cobra.Completion
	for _, f := range brokerFlags {
		for _, name := range f.names {
			if !f.later && strings.HasPrefix(name, typed) {
				offers = append(offers, cobra.CompletionWithDesc(name, f.help))
			}
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// parseBrokerOptions reads the command line of the broker.
func parseBrokerOptions(name string, args []string) (*brokerOptions, error) {
	o := &brokerOptions{}
	for len(args) > 0 {
		typed := args[0]
		args = args[1:]
		i := slices.IndexFunc(brokerFlags, func(f brokerFlag) bool { return slices.Contains(f.names, typed) })
		if i < 0 {
			return o, unknownBrokerFlag(name, typed)
		}
		f := &brokerFlags[i]
		if f.later {
			return o, &usageError{text: fmt.Sprintf("'%s' is known, but this version does not have it yet. %s", typed, f.help), hasHelp: true}
		}
		value := ""
		if f.value != "" {
			if len(args) == 0 {
				return o, usagef("'%s' needs a %s behind it.", typed, f.value)
			}
			value, args = args[0], args[1:]
		}
		if err := f.apply(o, value); err != nil {
			return o, err
		}
	}
	return o, nil
}

// unknownBrokerFlag names the flag, the nearest one, and where help is.
func unknownBrokerFlag(name, typed string) error {
	bare, _, _ := strings.Cut(strings.ToLower(strings.TrimLeft(typed, "-")), "=")
	near, limit := "", max(2, 1+len(bare)/3)
	for _, f := range brokerFlags {
		for _, known := range f.names {
			long := strings.TrimLeft(known, "-")
			if len(long) == 1 || f.later {
				continue
			}
			d := distance(bare, long)
			if len(bare) >= 3 && strings.HasPrefix(long, bare) {
				d = min(d, 1)
			}
			if d < limit {
				near, limit = known, d
			}
		}
	}
	text := fmt.Sprintf("Unknown option '%s'", typed)
	if near != "" {
		text += fmt.Sprintf("; the nearest is '%s'", near)
	}
	return &usageError{text: text + fmt.Sprintf(", see '%s --help'.", name), hasHelp: true}
}

func writeBrokerHelp(w io.Writer, name string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n  %s [FLAGS]\n\nExamples:\n", wrapped(
		"Run an MQTT broker until it is interrupted. Without a configuration it is for this machine only: it listens on port 1883 of 127.0.0.1 and [::1] and lets everybody in.", 0), name)
	for _, e := range [][2]string{
		{"", "for this machine, on port 1883"},
		{" -p 1884 -v", "on another port, and log everything"},
		{" -c my.conf", "as my.conf says"},
		{" -c my.conf --test-config", "is my.conf right?"},
	} {
		fmt.Fprintf(&b, "  %s%-26s # %s\n", name, e[0], e[1])
	}
	b.WriteString("\nFlags:\n")
	var later []string
	for _, f := range brokerFlags {
		if f.later {
			later = append(later, f.names...)
			continue
		}
		left := "  " + strings.TrimSpace(strings.Join(f.names, ", ")+" "+f.value)
		fmt.Fprintf(&b, "%-28s%s\n", left, wrapped(f.help, 28))
	}
	fmt.Fprintf(&b, "  Known, but not in this version: %s\n", strings.Join(later, " "))
	b.WriteString(`
To let other machines in, without a password, put these lines into the configuration:
  listener 1883
  allow_anonymous true

Exit code:
  0 ended as it was told to; 1 could not listen; 3 mistake in the flags or the configuration.
`)
	io.WriteString(w, b.String())
}

// runBroker is the command: it reads the flags and the configuration, and serves until
// it is told to end.
func runBroker(env *invocation, args []string) int {
	o, err := parseBrokerOptions(env.name, args)
	switch {
	case o.help:
		writeBrokerHelp(env.stdout, env.name)
		return exitOK
	case o.version:
		fmt.Fprintln(env.stdout, versionLine(env.name))
		return exitOK
	case err != nil:
		env.printUsageError(err)
		return exitConfig
	}
	c := config.Default()
	if o.configFile != "" {
		c, err = config.Read(o.configFile)
	}
	var runAs *account
	if err == nil {
		runAs, err = chooseAccount(c, env.mosquitto, os.Geteuid() == 0, user.Lookup)
	}
	if err != nil {
		fmt.Fprintf(env.stderr, "Error: %s.\n", err)
		return exitConfig
	}
	keyLog, err := openKeyLog(o.keyLogFile)
	if err != nil {
		env.printUsageError(err)
		return exitConfig
	}
	secure, err := secureListeners(c, keyLog)
	if err != nil {
		fmt.Fprintf(env.stderr, "Error: %s.\n", escaped(err.Error(), 1<<12))
		return exitConfig
	}
	rules, err := readRules(c)
	if err != nil {
		fmt.Fprintf(env.stderr, "Error: %s.\n", err)
		return exitConfig
	}
	if err := checkLogins(c); err != nil {
		fmt.Fprintf(env.stderr, "Error: %s\n", sentence(escaped(err.Error(), 1<<12)))
		return exitConfig
	}
	if o.test {
		if _, err := newAskers(&c.Remote, nil); err != nil {
			fmt.Fprintf(env.stderr, "Error: %s\n", sentence(err.Error()))
			return exitConfig
		}
		for _, w := range c.Warnings {
			fmt.Fprintf(env.stderr, "Warning: %s:%d: %s.\n", w.File, w.Line, w.Text)
		}
		fmt.Fprintln(env.stdout, "The configuration is right.")
		return exitOK
	}
	switch {
	case o.quiet:
		c.Log = config.Log{Stderr: true, Errors: true, Timestamp: c.Log.Timestamp, TimestampFormat: c.Log.TimestampFormat}
	case o.verbose:
		c.Log = config.Log{Stderr: true, Errors: true, Warnings: true, Notices: true, Information: true, Debug: true,
			Subscribe: true, Unsubscribe: true, ConnectionMessages: true,
			Timestamp: c.Log.Timestamp, TimestampFormat: c.Log.TimestampFormat}
	}
	s := &brokerServer{env: env, options: o, config: c, limits: limitsOf(c), secure: secure}
	if env.alone {
		s.account = runAs
	}
	s.useRules(rules)
	if err := s.serve(); err != nil {
		fmt.Fprintf(env.stderr, "Error: %s\n", sentence(err.Error()))
		return exitBrokerFailed
	}
	return exitOK
}

// sentence returns text as a sentence of its own.
func sentence(text string) string { return capitalised(strings.TrimSuffix(text, ".")) + "." }

// limitsOf returns the limits of the broker that c asks for.
func limitsOf(c *config.Config) broker.Limits {
	l := broker.DefaultLimits()
	l.Connections = max(0, c.MaxConnections)
	l.Inflight = c.MaxInflightMessages
	if l.Inflight == 0 {
		l.Inflight = math.MaxUint16
	}
	l.QueueMessages = noLimitBelowZero(c.MaxQueuedMessages)
	if c.MaxQueuedBytes >= 0 {
		l.QueueBytes = noLimitBelowZero(c.MaxQueuedBytes)
	}
	l.PacketBytes = c.MaxPacketBytes
	l.KeepAlive = uint16(c.MaxKeepAlive)
	switch {
	case c.MaxTopicAliasBroker == 0:
		l.TopicAliases = -1
	case c.MaxTopicAliasBroker > 0:
		l.TopicAliases = c.MaxTopicAliasBroker
	}
	l.MessageRate, l.ByteRate, l.ConnectRate = c.Own.MessageRate, c.Own.ByteRate, c.Own.ConnectRate
	l.FirehoseRate = c.Access.FirehoseRate
	l.Unauthenticated = c.Own.MaxUnauthenticated
	l.TakeoverPause = c.Abuse.TakeoverPause // the listeners count addresses, before their handshakes
	l.Subscriptions = c.Own.MaxSubscriptions
	l.TopicLevels, l.TopicBytes = c.Own.MaxTopicLevels, c.Own.MaxTopicBytes
	l.Retained, l.RetainedBytes = c.Own.MaxRetained, c.Own.MaxRetainedBytes
	if c.MaxTopicAlias > 0 {
		l.TopicAliasMaximum = uint16(c.MaxTopicAlias)
	}
	l.SessionExpiry = uint32(min(c.PersistentClientExpiration/time.Second, math.MaxUint32))
	return l
}

// withoutOf returns what c leaves out.
func withoutOf(c *config.Config) (w broker.Without) {
	switch c.MaxQoS {
	case 0:
		w |= broker.WithoutQoS1
	case 1:
		w |= broker.WithoutQoS2
	}
	if !c.RetainAvailable {
		w |= broker.WithoutRetain
	}
	return w
}

// whenFull are the values of colibri_when_full.
var whenFull = map[string]broker.WhenFull{"drop-newest": broker.FullDropNewest, "drop-oldest": broker.FullDropOldest,
	"reject": broker.FullReject}

// shareStrategies are the values of colibri_share_strategy.
var shareStrategies = map[string]broker.SharedStrategy{"round-robin": broker.SharedRoundRobin,
	"least-inflight": broker.SharedLeastInflight, "sticky": broker.SharedSticky,
	"hash-client": broker.SharedHashClient, "hash-topic": broker.SharedHashTopic}

// noLimitBelowZero turns 0 for no limit into what broker.Limits has for it.
func noLimitBelowZero(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// brokerServer is a broker with its listeners and its log.
type brokerServer struct {
	env     *invocation
	options *brokerOptions
	config  *config.Config
	limits  broker.Limits
	access  *auth.Access // never nil
	rules   *acl.Set     // of access; once it serves, reload changes it

	log             *brokerLog
	descriptorsTold atomic.Bool // a sentence about them was logged
	listeners       []*boundListener
	perAddress      *accept.Addresses // of all listeners; nil without a limit
	secure          []*secureListener
	broker          atomic.Pointer[broker.Broker] // nil until it is there
	askers          *askers
	reloads         []reloaded
	account         *account // whom it becomes; nil to stay
	dumps           *dumps   // nil without any
	stateDir        string   // empty without one
	inMemory        string   // why there is none, behind a comma; empty when that was asked for

	reloading  sync.Mutex // one reload at a time
	started    time.Time
	ends       ends
	history    *history.Table
	publishSys atomic.Pointer[func(topic, text string)]
	logins     logins
}

// serve listens, serves, and shuts down when the program is told to end.
func (s *brokerServer) serve() (err error) {
	if s.account != nil && s.config.Log.File != "" {
		if err := s.account.createLogFile(s.config.Log.File); err != nil {
			return err
		}
	}
	if s.log, err = newBrokerLog(s.config.Log, s.account, s.env.stdout, s.env.stderr); err != nil {
		return err
	}
	defer s.log.close()
	s.log.audit = newAudit(s.log, s.access)
	if err := s.openLogins(); err != nil {
		return err
	}
	defer s.logins.hasher.Close()
	if err := s.openAskers(); err != nil {
		return err
	}
	defer s.askers.end()
	if err := s.listen(); err != nil {
		return err
	}
	if s.config.PIDFile != "" {
		if err := s.account.writePID(s.config.PIDFile); err != nil {
			s.closeListeners()
			return fmt.Errorf("the pid_file cannot be written: %w", err)
		}
		defer os.Remove(s.config.PIDFile)
	}
	if err := s.settle(); err != nil {
		s.closeListeners()
		return err
	}
	state, why, err := s.openState()
	if err != nil {
		s.closeListeners()
		return err
	}
	s.inMemory = why
	if s.dumps, err = s.openDumps(); err != nil {
		s.closeListeners()
		if state != nil {
			state.Close()
		}
		return err
	}
	defer s.dumps.close()
	logFailed := make(chan error, 2) // of the broker and of the disk
	var log broker.Log               // nil without a state
	if state != nil {
		log = state
		if torn := state.Torn(); torn != nil {
			s.log.printf(logWarning, "The state was cut where the last write before a crash had stopped, which nobody was promised: %s.", torn)
		}
	}
	s.started = time.Now()
	s.history = history.New(refusedBecause, because)
	b, err := broker.New(broker.Config{
		Log:             log,
		CheckpointBytes: checkpointBytes(s.config.Own),
		LogQuota:        int64(s.config.Own.StateQuota),
		LogFailed:       func(err error) { logFailed <- err },
		Authenticator:   doorkeeper{s.logins.guard, s.config.Remote.Token.InUserName},
		Methods:         s.logins.methods(),
		Authorizer:      s.authorizer(),
		Limits:          s.limits,
		Without:         withoutOf(s.config),
		WhenFull:        whenFull[s.config.Own.WhenFull],

		SharedStrategy: shareStrategies[s.config.Own.ShareStrategy],

		DisconnectDenied: s.config.Own.DisconnectDenied,
		CheckPayloads:    s.config.Own.CheckPayloads,

		SysInterval: s.config.SysInterval,
		SysNumbers:  s.sayLogins,
		Version:     "colibri version " + versionNumber(),
		Events:      s.event,

		RecorderBytes:   s.config.Own.Recorder,
		SecretUserNames: s.config.Remote.Token.InUserName,
		Explain:         because,
		Logger:          slog.New(s.log),
	})
	if err != nil {
		s.closeListeners()
		if state != nil {
			state.Close()
		}
		return err
	}
	s.broker.Store(b)
	s.reloadRules(b)
	go s.dumps.run(b)
	closeControl, err := s.openControl(b)
	if err != nil {
		s.closeListeners()
		s.shutdown(b)
		return err
	}
	defer closeControl()
	if state != nil {
		ended := make(chan struct{})
		defer close(ended)
		go func() {
			select {
			case <-state.Stopped(): // with colibri_sync interval nobody may wait for it
				logFailed <- state.Err()
			case <-ended:
			}
		}()
	}
	if s.config.Log.Topic {
		publish := func(topic, line string) {
			b.Publish(&colibri.Message{Topic: topic, Payload: []byte(line), QoS: colibri.ExactlyOnce})
		}
		s.log.publish.Store(&publish)
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	other := make(chan os.Signal, 1)
	if len(unheeded) > 0 { // Notify without a signal means all of them
		signal.Notify(other, unheeded...)
		defer signal.Stop(other)
	}
	unread := make(chan os.Signal, 1) // a log that nobody reads any more does not end the broker
	signal.Notify(unread, syscall.SIGPIPE)
	defer signal.Stop(unread)

	s.reloadCertificates()
	defer s.watchFiles()() // before a client can tell that the broker is there

	broken := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		go func() {
			if err := b.Serve(l); err != nil {
				broken <- fmt.Errorf("the listener on %s broke: %w", l.name, err)
			}
		}()
	}
	s.banner()
	ended := make(chan struct{})
	defer close(ended)
	s.watchExpiry(b, ended)
	for {
		select {
		case <-s.env.ctx.Done():
			s.log.printf(logInformation, "Shutting down.")
			if to := s.config.Own.ServerReference; to != "" {
				s.drain(b, to)
			}
			s.shutdown(b)
			return nil
		case err := <-broken:
			s.shutdown(b)
			return err
		case err := <-logFailed:
			s.shutdown(b)
			return fmt.Errorf("the state in %s cannot be written any more, so nothing can be acknowledged: %w", s.stateDir, err)
		case <-hangup:
			s.hangup()
		case received := <-other:
			s.log.printf(logNotice, "Signal %q: this version has nothing to do on it.", received)
		}
	}
}

// event hands an event to all who want to hear of it. None of them blocks.
func (s *brokerServer) event(e broker.Event) {
	s.ends.count(e)
	s.history.Event(e)
	s.log.event(e)
	s.dumps.event(e)
}

// shutdown ends the broker, at once when a second signal comes.
func (s *brokerServer) shutdown(b *broker.Broker) {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.Shutdown(ctx); err != nil {
		s.log.printf(logWarning, "Some clients did not take their last packets in time; their connections are closed now.")
	}
}

// drain sends all clients to another server, one after the other.
func (s *brokerServer) drain(b *broker.Broker, to string) {
	s.log.printf(logNotice, "Sending all clients to %s.", shown(to))
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.Drain(ctx, to); err != nil {
		s.log.printf(logWarning, "Not all clients have left in time.")
	}
}

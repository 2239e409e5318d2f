package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/config"
)

// logKind is the kind of a line of the log, as log_type names it.
type logKind int

const (
	logError logKind = iota
	logWarning
	logNotice
	logInformation
	logDebug
	logSubscribe
	logUnsubscribe
	logNowhere // of lines that are not published
)

const (
	logLines      = 4096             // lines that may wait for the output
	logFieldBytes = 256              // of what a client chose, in one place of a line
	dropPause     = 10 * time.Second // between two lines about one reason for dropping, or one limit
)

// brokerLog writes the lines of a running broker. Whoever has something to say hands
// over a line and goes on: one goroutine writes, and when it cannot keep up, lines are
// left out and counted.
type brokerLog struct {
	settings config.Log
	outputs  []io.Writer // only the goroutine that writes uses them
	file     *os.File    // of log_dest; nil without one. As outputs

	lines  chan logLine
	missed atomic.Int64
	turn   chan struct{} // asks for the file to be opened again
	stop   chan struct{} // closed by close
	once   sync.Once
	ended  chan struct{} // closed when the goroutine has written everything

	publish atomic.Pointer[func(topic, line string)] // of log_dest topic; nil until there is a broker

	audit   *audit                       // of what clients were denied; nil for none
	failed  *failures                    // handshakes
	dropped [broker.DropReasons]rareLine // messages
	limited [broker.LimitCount]rareLine  // times
	bans    rareLine
}

// logLine is a line with its end. kind says where it is published, logNowhere for a line
// that is not.
type logLine struct {
	kind logKind
	text string
}

// logTopics are the topics of log_dest topic, behind $SYS/broker/log/. As in Mosquitto,
// debugging is not published.
var logTopics = map[logKind]string{logError: "E", logWarning: "W", logNotice: "N", logInformation: "I",
	logSubscribe: "M/subscribe", logUnsubscribe: "M/unsubscribe"}

// rareLine is about something that may happen thousands of times a second: it is said at
// most once in dropPause, and counted meanwhile.
type rareLine struct {
	count atomic.Int64 // since the last line
	said  atomic.Int64 // when that was written, in nanoseconds since 1970
}

// newBrokerLog opens the destinations of s and starts to write. close must be called. user is
// whom the broker will become; nil for nobody else.
func newBrokerLog(s config.Log, user *account, stdout, stderr io.Writer) (*brokerLog, error) {
	l := &brokerLog{settings: s, lines: make(chan logLine, logLines), turn: make(chan struct{}, 1),
		stop: make(chan struct{}), ended: make(chan struct{})}
	if s.Stderr {
		l.outputs = append(l.outputs, stderr)
	}
	if s.Stdout {
		l.outputs = append(l.outputs, stdout)
	}
	if s.File != "" {
		file, err := user.openFile(s.File, logFileFlags, logFileMode)
		if err != nil {
			return nil, fmt.Errorf("the log file cannot be opened: %w", err)
		}
		l.file = file
	}
	l.failed = newFailures(l)
	go l.write()
	return l, nil
}

// How a log file is opened.
const (
	logFileFlags = os.O_APPEND | os.O_CREATE | os.O_WRONLY
	logFileMode  = 0o640
)

func openLogFile(path string) (*os.File, error) {
	return os.OpenFile(path, logFileFlags, logFileMode)
}

// reopen has the file opened again, for those who have moved it away. It does not block.
func (l *brokerLog) reopen() {
	select {
	case l.turn <- struct{}{}:
	default: // it is asked for already
	}
}

// reopenFile goes on with the old file if the new one cannot be opened.
func (l *brokerLog) reopenFile() {
	if l.file == nil {
		return
	}
	file, err := openLogFile(l.settings.File)
	if err != nil {
		l.printf(logError, "The log file cannot be opened again: %v.", err)
		return
	}
	l.file.Close()
	l.file = file
}

// close writes what waits and ends the goroutine. Lines that come later are lost.
func (l *brokerLog) close() {
	for reason := range l.dropped {
		if n := l.dropped[reason].count.Swap(0); n > 0 {
			l.printf(logWarning, "Messages dropped (%s): %d more.", broker.DropReason(reason), n)
		}
	}
	for limit := range l.limited {
		if n := l.limited[limit].count.Swap(0); n > 0 {
			l.printf(logNotice, "Limit reached (%s): %d times more.", broker.Limit(limit), n)
		}
	}
	l.failed.close()
	if l.audit != nil {
		l.audit.close()
	}
	if n := l.bans.count.Swap(0); n > 0 {
		l.printf(logWarning, "Banned for failed logins: %d times more.", n)
	}
	l.once.Do(func() { close(l.stop) })
	<-l.ended
	if l.file != nil {
		l.file.Close()
	}
}

// write is the goroutine that writes. It ends with close.
func (l *brokerLog) write() {
	defer close(l.ended)
	for {
		select {
		case line := <-l.lines:
			l.writeLine(line)
		case <-l.turn:
			l.reopenFile()
		case <-l.stop:
			for {
				select {
				case line := <-l.lines:
					l.writeLine(line)
				default:
					return
				}
			}
		}
	}
}

func (l *brokerLog) writeLine(one logLine) {
	line := one.text
	if topic := logTopics[one.kind]; topic != "" && l.settings.Topic {
		if publish := l.publish.Load(); publish != nil {
			(*publish)("$SYS/broker/log/"+topic, strings.TrimSuffix(line, "\n"))
		}
	}
	if missed := l.missed.Swap(0); missed > 0 {
		line += l.stamp(time.Now()) + fmt.Sprintf("Warning: %d lines are missing here, because they came faster than they could be written.\n", missed)
	}
	for _, output := range l.outputs {
		io.WriteString(output, line)
	}
	if l.file != nil {
		l.file.WriteString(line)
	}
}

// printf adds a line if its kind is wanted. It does not block.
func (l *brokerLog) printf(kind logKind, format string, args ...any) {
	if !l.wants(kind) {
		return
	}
	select {
	case l.lines <- logLine{kind, l.stamp(time.Now()) + fmt.Sprintf(format, args...) + "\n"}:
	default:
		l.missed.Add(1)
	}
}

// plain adds lines without the time. It does not block.
func (l *brokerLog) plain(text string) {
	if !l.settings.Notices {
		return
	}
	select {
	case l.lines <- logLine{logNowhere, text}:
	default:
		l.missed.Add(1)
	}
}

func (l *brokerLog) wants(kind logKind) bool {
	s := &l.settings
	return [...]bool{
		logError:       s.Errors,
		logWarning:     s.Warnings,
		logNotice:      s.Notices,
		logInformation: s.Information,
		logDebug:       s.Debug,
		logSubscribe:   s.Subscribe,
		logUnsubscribe: s.Unsubscribe,
	}[kind]
}

// stamp returns the beginning of a line: the time as it is wanted.
func (l *brokerLog) stamp(now time.Time) string {
	switch {
	case !l.settings.Timestamp:
		return ""
	case l.settings.TimestampFormat == "":
		return strconv.FormatInt(now.Unix(), 10) + ": "
	}
	var b strings.Builder
	format := l.settings.TimestampFormat
	for i := 0; i < len(format); i++ {
		if format[i] == '%' && i+1 < len(format) {
			i++
			b.WriteString(strftime(now, format[i]))
			continue
		}
		b.WriteByte(format[i])
	}
	return b.String() + ": "
}

// event writes the line of an event, if it has one. It does not block.
func (l *brokerLog) event(e broker.Event) {
	switch e := e.(type) {
	case broker.HandshakeFailed:
		l.failed.failed(e)
	case broker.Opened:
		l.connection("New connection from %s on %s.", address(e.Remote), listenAddress(e.Local))
	case broker.Connected:
		user := ""
		if e.Client.UserName != "" {
			user = ", u'" + strings.ReplaceAll(shown(e.Client.UserName), "'", `\'`) + "'"
		}
		l.connection("New client connected from %s as %s (p%d, c%d, k%d%s).", address(e.Remote), shown(e.Client.ClientID),
			protocolNumber(e.Version), bit(e.CleanStart), e.KeepAlive, user)
		l.printf(logDebug, "%s: Session Present %d, Will Message %d.", shown(e.Client.ClientID), bit(e.SessionPresent), bit(e.Will))
	case broker.Refused:
		id := e.Client.ClientID
		if id == "" {
			id = "<unknown>"
		}
		l.connection("Client %s [%s] refused: %s.", shown(id), address(e.Remote), refusedBecause(e.Err))
	case broker.Disconnected:
		if e.Err == nil {
			l.connection("Client %s [%s] disconnected.", shown(e.Client.ClientID), address(e.Remote))
			return
		}
		l.connection("Client %s [%s] disconnected: %s.", shown(e.Client.ClientID), address(e.Remote), because(e.Err))
	case broker.Subscribed:
		if e.Code.Failed() {
			l.printf(logSubscribe, "%s may not subscribe to %s: %s.", shown(e.Client.ClientID), shown(e.Subscription.Filter), e.Code)
			return
		}
		l.printf(logSubscribe, "%s %d %s", shown(e.Client.ClientID), e.Subscription.QoS, shown(e.Subscription.Filter))
	case broker.Unsubscribed:
		l.printf(logUnsubscribe, "%s %s", shown(e.Client.ClientID), shown(e.Filter))
	case broker.Firehose:
		if e.Ended {
			l.printf(logNotice, "%s no longer holds '#': it was sent %d messages, %d bytes, in %s.", shown(e.Client.ClientID),
				e.Messages, e.Bytes, e.After.Round(time.Millisecond))
			return
		}
		l.printf(logNotice, "%s holds '#', the firehose: every message is sent to it as well.", shown(e.Client.ClientID))
	case broker.Dropped:
		switch {
		case e.Reason == broker.DropNoSubscribers && e.Share == "", e.Reason == broker.DropOffline, // nobody asked to be sent these
			e.Reason == broker.DropWithheld, e.Reason == broker.DropDenied: // not lost, or said by the audit
			return
		}
		if n := l.dropped[e.Reason].add(e.Messages); n > 0 {
			where := "at client " + shown(e.Client.ClientID)
			if e.Share != "" {
				where = "of " + shown(e.Share)
			}
			l.printf(logWarning, "Messages dropped (%s): %d, the last one %s.", e.Reason, n, where)
		}
	case broker.Flapping:
		l.printf(logWarning, "Two devices share the Client Identifier %s and disconnect each other: %s and %s, %d takeovers since the last line about it. Give each device one of its own.",
			shown(e.Client.ClientID), address(e.Remotes[0]), address(e.Remotes[1]), e.Takeovers)
	case broker.Denied:
		if l.audit != nil {
			l.audit.denied(e)
		}
	case broker.Limited:
		if n := l.limited[e.Limit].add(1); n > 0 {
			l.printf(logNotice, "Limit reached (%s): %d times, the last time by %s.", e.Limit, n, whoReached(e))
		}
	}
}

// whoReached names who has reached a limit.
func whoReached(e broker.Limited) string {
	if e.Remote != nil {
		return "a connection from " + address(e.Remote)
	}
	return "client " + shown(e.Client.ClientID)
}

// connection writes a notice about one connection, which connection_messages may have
// switched off.
func (l *brokerLog) connection(format string, args ...any) {
	if l.settings.ConnectionMessages {
		l.printf(logNotice, format, args...)
	}
}

// add counts n, and returns how many there were since the last line when it is time for
// another; 0 otherwise.
func (r *rareLine) add(n int) int64 {
	r.count.Add(int64(n))
	said, now := r.said.Load(), time.Now().UnixNano()
	if now-said < int64(dropPause) || !r.said.CompareAndSwap(said, now) {
		return 0
	}
	return r.count.Swap(0)
}

// protocolNumber is the number that Mosquitto's log gives to a version.
func protocolNumber(v colibri.Version) int {
	switch v {
	case colibri.V31:
		return 1
	case colibri.V311:
		return 2
	}
	return int(v)
}

// refusedBecause is because for a connection whose CONNECT was not accepted.
func refusedBecause(err error) string {
	switch {
	case errors.Is(err, io.EOF):
		return "it closed the connection before its CONNECT was complete"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "its CONNECT did not come in time"
	}
	return because(err)
}

// because returns why a connection ended, in words that fit into one line.
func because(err error) string {
	var wrong *colibri.Error
	switch {
	case errors.Is(err, io.EOF):
		return "it closed the connection without a DISCONNECT"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was broken by the client or the network"
	case errors.Is(err, colibri.SessionTakenOver):
		return "another connection took its Client Identifier over"
	case errors.Is(err, colibri.ServerShuttingDown):
		return "the broker is shutting down"
	case errors.As(err, &wrong) && wrong.Err != nil:
		text := wrong.Err.Error()
		if wrong.Op != "" {
			text = wrong.Op + ": " + text
		}
		return shown(text) + " (" + wrong.Code.String() + ")"
	}
	return shown(err.Error())
}

// shown returns text that a client chose as it may stand in a line: nothing that ends
// or repaints the line, and not longer than logFieldBytes.
func shown(text string) string { return escaped(text, logFieldBytes) }

// escaped is shown with a limit of its own.
func escaped(text string, limit int) string {
	plain := len(text) <= limit
	for i := 0; plain && i < len(text); i++ {
		plain = text[i] >= ' ' && text[i] < 0x7F && text[i] != '\\'
	}
	if plain {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		if i >= limit {
			fmt.Fprintf(&b, "… (%d bytes)", len(text))
			break
		}
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// address names the far end of a connection. Clients of a Unix domain socket have none.
func address(a net.Addr) string {
	if a == nil || a.String() == "" || a.String() == "@" {
		return "a local socket"
	}
	return a.String()
}

// listenAddress names the near end of a connection: the port, or the path.
func listenAddress(a net.Addr) string {
	if bound, ok := a.(boundAddr); ok {
		a = bound.Addr
	}
	if port := portOf(a); port > 0 {
		return "port " + strconv.Itoa(port)
	}
	return address(a)
}

// Enabled, Handle, WithAttrs and WithGroup make the log the handler of what the broker
// tells its operator.

func (l *brokerLog) Enabled(_ context.Context, level slog.Level) bool { return l.wants(kindOf(level)) }

func (l *brokerLog) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, ", %s %s", a.Key, escaped(a.Value.String(), 1<<16))
		return true
	})
	l.printf(kindOf(r.Level), "%s%s.", capitalised(r.Message), b.String())
	return nil
}

func (l *brokerLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *brokerLog) WithGroup(string) slog.Handler      { return l }

func kindOf(level slog.Level) logKind {
	switch {
	case level >= slog.LevelError:
		return logError
	case level >= slog.LevelWarn:
		return logWarning
	case level >= slog.LevelInfo:
		return logInformation
	}
	return logDebug
}

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxFileBytes = 1 << 20
	maxFiles     = 1000 // of one include_dir
)

// Read reads the file at path, and those that it includes. Errors are of type *Error:
// the first mistake ends the reading.
func Read(path string) (*Config, error) {
	r := newReader(path)
	if err := r.readFile(path); err != nil {
		return nil, err
	}
	return r.finish()
}

// reader is one run of Read.
type reader struct {
	config *Config

	file     string // that is being read, with the line and the option, for errors
	line     int
	key      string
	included bool // file stands in an include_dir

	current      *Listener // the last one; nil before the first
	listeners    []*Listener
	standard     Listener // the default listener, of the options before the first
	standardUsed bool

	remote map[string]Warning // the last option of each group of Remote: its place only

	perListener  bool
	secured      bool    // an option that it has a say in was read
	passwordLine Warning // where the default listener got its password_file
	destined     bool    // a log_dest was read
	typed        bool    // a log_type was read
}

func newReader(path string) *reader {
	r := &reader{config: Default(), standard: Listener{Port: 1883, MaxConnections: -1}}
	r.config.File = path
	return r
}

func (r *reader) errorf(format string, args ...any) error {
	return &Error{File: r.file, Line: r.line, Key: r.key, Text: fmt.Sprintf(format, args...)}
}

// refuse is the error for an option that must not be ignored.
func (r *reader) refuse(lack string) error {
	return r.errorf("'%s' cannot be honoured: this version %s; take the line out only if you can do without it", r.key, lack)
}

func (r *reader) warn(format string, args ...any) {
	r.config.Warnings = append(r.config.Warnings, Warning{r.file, r.line, fmt.Sprintf(format, args...)})
}

// readFile opens one file and reads it.
func (r *reader) readFile(path string) error {
	text, err := contents(path)
	if err != nil {
		return &Error{File: path, Text: "cannot be read: " + err.Error()}
	}
	return r.read(path, text)
}

// contents returns the bytes of a file of reasonable size.
func contents(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, plain(err)
	case len(text) > maxFileBytes:
		return nil, fmt.Errorf("it has more than %d bytes, which no configuration needs", maxFileBytes)
	}
	return text, nil
}

// plain returns the cause without the operation and the path.
func plain(err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		return wrapped.Err
	}
	return err
}

// read reads the lines of one file.
func (r *reader) read(path string, content []byte) error {
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	r.file, r.line = path, 0
	for line := range strings.Lines(string(content)) {
		r.line++
		r.key = ""
		if line[0] == '#' {
			continue
		}
		if err := r.readLine(strings.TrimSpace(line)); err != nil {
			return err
		}
	}
	return nil
}

// readLine reads one line without its end.
func (r *reader) readLine(line string) error {
	if line == "" {
		return nil
	}
	if line[0] == '#' {
		return r.errorf("a comment must begin in the first column: remove the space before '#'")
	}
	if !utf8.ValidString(line) {
		return r.errorf("the line is not written in UTF-8")
	}
	if i := strings.IndexFunc(line, forbidden); i >= 0 {
		c, _ := utf8.DecodeRuneInString(line[i:])
		return r.errorf("the line holds the character %+q, which cannot be meant", c)
	}
	key, rest := line, ""
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		key, rest = line[:i], strings.TrimSpace(line[i:])
	}
	r.key = key
	o := lookup(key)
	switch {
	case o == nil:
		return r.unknown(key)
	case o.refused != "":
		return r.refuse(o.refused)
	case rest == "":
		return r.errorf("'%s' has no value; write %s", key, o.wants())
	}
	v, err := r.parse(o, rest)
	r.secured = r.secured || slices.Contains(words("allow_anonymous password_file acl_file"), key)
	switch {
	case err != nil:
		return err
	case o.only != "":
		if v.text != o.only {
			return r.errorf("'%s %s' cannot be honoured: this version has only '%s %s'; take the line out only if you can do without it", key, v.text, key, o.only)
		}
		return nil
	case o.set != nil:
		return o.set(r, v)
	}
	return nil
}

// forbidden reports characters that belong into no configuration.
func forbidden(c rune) bool { return c != '\t' && unicode.IsControl(c) || c == utf8.RuneError }

// unknown names the nearest option.
func (r *reader) unknown(key string) error {
	if len(key) > 64 {
		return r.errorf("the line begins with a word of %d letters, which is no option", len(key))
	}
	if name, _, ok := strings.Cut(key, "="); ok && lookup(name) != nil {
		return r.errorf("'%s' is written with '='; write '%s', a space and the value", key, name)
	}
	if near := nearest(key); near != "" {
		return r.errorf("'%s' is not an option; the nearest is '%s'", key, near)
	}
	return r.errorf("'%s' is not an option", key)
}

// wants says what value an option takes.
func (o *option) wants() string {
	switch o.kind {
	case boolean:
		return "true or false"
	case number:
		if o.max == most {
			return fmt.Sprintf("a number of at least %d", o.min)
		}
		return fmt.Sprintf("a number from %d to %d", o.min, o.max)
	case age:
		return "a number and s, h, d, w, m or y, as in 14d"
	}
	return "it behind the option, after a space"
}

// parse reads the value of an option.
func (r *reader) parse(o *option, rest string) (v value, err error) {
	v.text = rest
	if o.kind == text {
		return v, nil
	}
	word, after, _ := strings.Cut(strings.ReplaceAll(rest, "\t", " "), " ")
	if after = strings.TrimSpace(after); strings.HasPrefix(after, "#") {
		r.warn("the comment behind the value is left out; a comment should begin in the first column")
	} else if after != "" {
		return v, r.errorf("'%s' takes one value, and '%s' follows it; write %s", r.key, after, o.wants())
	}
	v.text = word
	ok := false
	switch o.kind {
	case boolean:
		v.yes = word == "true" || word == "1"
		ok = v.yes || word == "false" || word == "0"
		v.text = strconv.FormatBool(v.yes)
	case number:
		v.number, err = strconv.Atoi(word)
		ok = err == nil && v.number >= o.min && v.number <= o.max
		v.text = strconv.Itoa(v.number)
	case age:
		v.age, ok = parseAge(word)
	}
	if !ok {
		return v, r.errorf("'%s' is not a value for '%s'; write %s", word, r.key, o.wants())
	}
	return v, nil
}

// ageUnits are the units of an age. A month has 30 days and a year 365.
var ageUnits = map[byte]time.Duration{
	's': time.Second,
	'h': time.Hour,
	'd': 24 * time.Hour,
	'w': 7 * 24 * time.Hour,
	'm': 30 * 24 * time.Hour,
	'y': 365 * 24 * time.Hour,
}

func parseAge(word string) (time.Duration, bool) {
	unit, ok := ageUnits[word[len(word)-1]]
	n, err := strconv.ParseInt(word[:len(word)-1], 10, 64)
	if !ok || err != nil || n < 1 || n > math.MaxInt64/int64(unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// listener returns what an option of a listener belongs to.
func (r *reader) listener() *Listener {
	if r.current != nil {
		return r.current
	}
	if !r.standardUsed {
		r.warn("'%s' stands before every listener, and so opens port %d on all addresses; write it behind its listener", r.key, r.standard.Port)
	}
	r.useStandard()
	return &r.standard
}

// useStandard makes the default listener one of the broker's.
func (r *reader) useStandard() {
	if !r.standardUsed {
		r.standardUsed = true
		r.standard.File, r.standard.Line = r.file, r.line
	}
}

// addListener reads "listener PORT [HOST | PATH]".
func (r *reader) addListener(v value) error {
	fields := strings.Fields(v.text)
	port, err := strconv.Atoi(fields[0])
	if err != nil || port < 0 || port > 65535 {
		return r.errorf("'%s' is not a port; write 'listener PORT' or 'listener PORT ADDRESS' with a port from 1 to 65535", fields[0])
	}
	host := strings.TrimSpace(v.text[len(fields[0]):])
	l := &Listener{File: r.file, Line: r.line, Port: port, Host: host, MaxConnections: -1}
	switch {
	case strings.HasPrefix(host, "/"), port == 0 && host != "" && net.ParseIP(host) == nil:
		if port != 0 {
			return r.errorf("a Unix domain socket has no port; write 'listener 0 %s'", host)
		}
		l.Host, l.Socket.Mode = "", socketMode
		if l.Path, err = filepath.Abs(host); err != nil {
			return r.errorf("the path '%s' cannot be resolved: %v", host, err)
		}
	case port == 0 && host == "":
		return r.errorf("port 0 is for Unix domain sockets; write 'listener 0 /path', or a port from 1 to 65535")
	case len(fields) > 2:
		return r.errorf("a listener has a port and one address, and '%s' is more", host)
	default:
		if err := r.checkHost(host); err != nil {
			return err
		}
	}
	r.current = l
	r.listeners = append(r.listeners, l)
	return nil
}

// checkHost refuses what can be no address of this machine.
func (r *reader) checkHost(host string) error {
	if strings.ContainsAny(host, " \t/[]") || strings.Contains(host, ":") && net.ParseIP(withoutZone(host)) == nil {
		return r.errorf("'%s' is not an address; write a name, or an IP address without brackets and port", host)
	}
	return nil
}

func withoutZone(host string) string {
	host, _, _ = strings.Cut(host, "%")
	return host
}

// logDestination reads log_dest. The first one replaces the default.
func (r *reader) logDestination(v value) error {
	log := &r.config.Log
	if !r.destined {
		log.Stderr = false
	}
	r.destined = true
	word, rest, _ := strings.Cut(v.text, " ")
	rest = strings.TrimSpace(rest)
	if rest != "" && word != "file" && word != "dlt" {
		return r.errorf("'log_dest %s' takes nothing behind it, and '%s' follows", word, rest)
	}
	switch word {
	case "stderr":
		log.Stderr = true
	case "stdout":
		log.Stdout = true
	case "none":
		log.Stderr, log.Stdout, log.File, log.Topic = false, false, "", false
	case "file":
		if rest == "" {
			return r.errorf("'log_dest file' has no path; write 'log_dest file PATH'")
		}
		if log.File != "" && log.File != rest {
			return r.errorf("the log goes to the file '%s' already; only one file is possible", log.File)
		}
		log.File = rest
	case "topic":
		log.Topic = true
	case "syslog", "dlt", "android":
		log.Stderr = true
		r.warn("this version does not log to '%s'; the log goes to stderr instead", word)
	default:
		return r.errorf("'%s' is not a destination for the log; write stderr, stdout, topic, none or file PATH", word)
	}
	return nil
}

// logType reads log_type. The first one replaces the default.
func (r *reader) logType(v value) error {
	log := &r.config.Log
	if !r.typed {
		log.Errors, log.Warnings, log.Notices, log.Information = false, false, false, false
	}
	r.typed = true
	switch v.text {
	case "error":
		log.Errors = true
	case "warning":
		log.Warnings = true
	case "notice":
		log.Notices = true
	case "information":
		log.Information = true
	case "debug":
		log.Debug = true
	case "subscribe":
		log.Subscribe = true
	case "unsubscribe":
		log.Unsubscribe = true
	case "websockets", "internal", "none":
	case "all":
		log.Errors, log.Warnings, log.Notices, log.Information = true, true, true, true
		log.Debug, log.Subscribe, log.Unsubscribe = true, true, true
	default:
		return r.errorf("'%s' is not a type of log lines; write error, warning, notice, information, debug, subscribe, unsubscribe, none or all", v.text)
	}
	return nil
}

// include reads the files of a directory whose names end in .conf, in the order of
// their bytes.
func (r *reader) include(directory string) error {
	if r.included {
		return r.errorf("include_dir may stand in the main file only")
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		return r.errorf("the directory '%s' cannot be read: %v", directory, plain(err))
	}
	var names []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".conf") && !entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	if len(names) > maxFiles {
		return r.errorf("the directory '%s' has %d files that end in .conf, which cannot be meant", directory, len(names))
	}
	slices.Sort(names)
	file, line := r.file, r.line
	r.included = true
	for _, name := range names {
		if err := r.readFile(filepath.Join(directory, name)); err != nil {
			return err
		}
	}
	r.included = false
	r.file, r.line = file, line
	return nil
}

// finish checks what concerns the files as a whole, and returns the configuration.
func (r *reader) finish() (*Config, error) {
	c := r.config
	if r.standardUsed {
		c.Listeners = append(c.Listeners, r.standard)
	} else if r.standard.AllowAnonymous != Unset {
		if len(r.listeners) == 0 {
			c.AllowAnonymous = r.standard.AllowAnonymous
		} else {
			c.Warnings = append(c.Warnings, Warning{r.standard.File, r.standard.Line,
				"allow_anonymous stands before the first listener and has no effect, because per_listener_settings is true"})
		}
	}
	r.placePasswords()
	for _, l := range r.listeners {
		c.Listeners = append(c.Listeners, *l)
	}
	if err := checkProxies(c); err != nil {
		return nil, err
	}
	type place struct {
		port       int
		host, path string
		udp        bool
	}
	taken := map[place]*Listener{}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if err := l.check(); err != nil {
			return nil, err
		}
		here := place{l.Port, l.Host, l.Path, l.QUIC}
		if first := taken[here]; first != nil && (l.Port != 0 || l.Path != "") {
			return nil, &Error{File: l.File, Line: l.Line, Key: "listener",
				Text: fmt.Sprintf("this listener is the same as the one in %s:%d; take one of them out", first.File, first.Line)}
		}
		taken[here] = l
	}
	warnRevoked(c)
	if err := r.finishRemote(); err != nil {
		return nil, err
	}
	return c, nil
}

// check refuses what does not fit together in one listener.
func (l *Listener) check() error {
	switch {
	case l.QUIC && l.WebSocket:
		return &Error{File: l.File, Line: l.Line, Key: "listener",
			Text: "a listener cannot have 'protocol quic' and 'protocol websockets'; take one of them out"}
	case l.QUIC && l.Path != "":
		return &Error{File: l.File, Line: l.Line, Key: "listener",
			Text: "a listener on a Unix domain socket cannot have 'protocol quic'; give it a port, or take the protocol out"}
	case l.QUIC && !l.TLS.On():
		return &Error{File: l.File, Line: l.Line, Key: "listener",
			Text: "a listener with 'protocol quic' needs a certificate; add certfile and keyfile, or take the protocol out"}
	case l.QUIC && l.Proxy.Version > 0:
		return &Error{File: l.File, Line: l.Line, Key: "enable_proxy_protocol",
			Text: "the PROXY protocol is for TCP, and this listener has 'protocol quic'; take one of them out"}
	case l.WebSocket && l.Path != "":
		return &Error{File: l.File, Line: l.Line, Key: "listener",
			Text: "a listener on a Unix domain socket cannot have 'protocol websockets'; give it a port, or take the protocol out"}
	case len(l.Origins) > 0 && !l.WebSocket:
		return &Error{File: l.File, Line: l.Line, Key: "websockets_origin",
			Text: "this listener has a websockets_origin and is not one for WebSocket; add 'protocol websockets', or take the origin out"}
	}
	if err := l.checkSocket(); err != nil {
		return err
	}
	return l.checkTLS()
}

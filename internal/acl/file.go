package acl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/colibri-mqtt/colibri/topic"
)

// File is an ACL file. It denies what no rule of it allows.
//
// The rules of a client's User Name are asked first, or those before the first user line for
// a client without one, and then the patterns, which are for everybody. Among each of them
// those that deny come before the others, wherever they stand. A Subscription is never
// refused: the rules are about the messages that come with it.
type File struct {
	Path     string
	Warnings []Warning // of lines that may not say what their writer thinks

	users     map[string]*ruleList
	anonymous ruleList
	patterns  ruleList
	rules     int

	known map[string]*Rights // by User Name, when there are no patterns; "" is anonymous
	other *Rights            // of the users without rules, when there are no patterns
}

// Warning is about one line of a file.
type Warning struct {
	Line int
	Text string // a sentence without its full stop
}

// Rules returns how many rules the file has.
func (f *File) Rules() int { return f.rules }

// Users returns how many User Names have rules of their own.
func (f *File) Users() int { return len(f.users) }

// FileError is a mistake in a file.
type FileError struct {
	Path string
	Line int
	Text string // what is wrong and what to do, without a full stop
}

func (e *FileError) Error() string { return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Text) }

// access is what a line of the file gives.
type access uint8

const (
	read      access = 1
	write     access = 2
	readWrite        = read | write
	deny      access = 0
)

var accessNames = map[string]access{"read": read, "write": write, "readwrite": readWrite, "deny": deny}

// line is one topic or pattern line.
type line struct {
	filter string
	access access
	rule   *Rule
}

// ruleList are lines in the order in which they are asked.
type ruleList struct {
	denied, given []line
}

func (l *ruleList) add(one line) {
	if one.access == deny {
		l.denied = append(l.denied, one)
	} else {
		l.given = append(l.given, one)
	}
}

// ReadFile reads an ACL file. The error is a *FileError, or why the file cannot be read.
func ReadFile(path string) (*File, error) {
	source, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	return Read(path, source)
}

// lineBytes limits a line of the file: User Name or topic, with the words before it.
const lineBytes = 1 << 17

// Read is ReadFile for what was opened already; path is what errors name.
func Read(path string, source io.Reader) (*File, error) {
	f := &File{Path: path, users: make(map[string]*ruleList)}
	into := &f.anonymous
	scanner := bufio.NewScanner(source)
	scanner.Buffer(nil, lineBytes)
	number := 0
	for scanner.Scan() {
		number++
		var err error
		if into, err = f.readLine(into, number, scanner.Text()); err != nil {
			return nil, err
		}
	}
	switch err := scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, f.errorf(number+1, "the line is longer than %d bytes", lineBytes)
	case err != nil:
		return nil, fmt.Errorf("%s cannot be read: %w", path, err)
	}
	f.workOut()
	return f, nil
}

func (f *File) errorf(number int, format string, args ...any) error {
	return &FileError{f.Path, number, fmt.Sprintf(format, args...)}
}

// readLine reads one line. It returns where the rules of the next lines go.
func (f *File) readLine(into *ruleList, number int, text string) (*ruleList, error) {
	text = strings.TrimRight(text, " \t\r\v\f")
	if text == "" || text[0] == '#' {
		return into, nil
	}
	text = strings.TrimLeft(text, " ")
	if text[0] == '#' {
		return nil, f.errorf(number, "a comment has its '#' in the first column; move it there")
	}
	keyword, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimLeft(rest, " ")
	switch keyword {
	case "user":
		if rest == "" {
			return nil, f.errorf(number, "a name is missing behind 'user'")
		}
		rest = strings.TrimSpace(rest)
		if f.users[rest] == nil {
			f.users[rest] = &ruleList{}
		}
		return f.users[rest], nil
	case "topic", "pattern":
		one, err := f.readRule(number, keyword, rest)
		if err != nil {
			return nil, err
		}
		one.rule = &Rule{File: f.Path, Line: number, Text: text}
		f.rules++
		if keyword == "pattern" {
			f.patterns.add(one)
		} else {
			into.add(one)
		}
		f.advise(number, keyword, one.filter)
		return into, nil
	}
	return nil, f.errorf(number, "'%.64s' is none of user, topic and pattern, with one of which a line begins", keyword)
}

// readRule reads what stands behind topic or pattern.
func (f *File) readRule(number int, keyword, rest string) (one line, err error) {
	if rest == "" {
		return one, f.errorf(number, "a topic is missing behind '%s'", keyword)
	}
	one.access, one.filter = readWrite, rest
	if word, filter, two := strings.Cut(rest, " "); two {
		known := false
		if one.access, known = accessNames[word]; !known {
			return one, f.errorf(number, "'%.64s' is none of read, write, readwrite and deny; a topic with spaces needs one of them before it", word)
		}
		one.filter = strings.TrimSpace(filter)
	} else if _, word := accessNames[rest]; word {
		f.warn(number, "this rule is about the topic '%s'; if that is not meant, write a topic behind it", rest)
	}
	if err := topic.CheckFilter(one.filter); err != nil && !strings.HasPrefix(one.filter, "$share/") {
		return one, f.errorf(number, "the topic is not one: %v", err)
	}
	return one, nil
}

// advise warns of a rule that is right and may not be meant.
func (f *File) advise(number int, keyword, filter string) {
	switch {
	case keyword == "pattern" && !isPattern(filter):
		f.warn(number, "the pattern has neither %%u nor %%c, so it gives everybody the same; 'topic' gives it to one user")
	case keyword == "topic" && isPattern(filter):
		f.warn(number, "%%u and %%c stand for themselves behind 'topic'; write 'pattern' to have them replaced")
	}
	if filter == "$share" || strings.HasPrefix(filter, "$share/") {
		f.warn(number, "rules are about the topics of messages, which never begin with $share; write what stands behind the Share Name")
	}
}

func (f *File) warn(number int, format string, args ...any) {
	f.Warnings = append(f.Warnings, Warning{number, fmt.Sprintf(format, args...)})
}

// workOut makes the Rights that many clients share.
func (f *File) workOut() {
	if len(f.patterns.denied)+len(f.patterns.given) > 0 {
		return
	}
	f.known = make(map[string]*Rights)
	for name, list := range f.users {
		f.known[name] = f.rightsOf(list, Client{User: name})
	}
	f.known[""] = f.rightsOf(&f.anonymous, Client{})
	f.other = f.rightsOf(nil, Client{})
}

// Rights returns what c may do.
func (f *File) Rights(c Client) *Rights {
	if f.known != nil {
		if r := f.known[c.User]; r != nil {
			return r
		}
		return f.other
	}
	if c.User == "" {
		return f.rightsOf(&f.anonymous, c)
	}
	return f.rightsOf(f.users[c.User], c)
}

// rightsOf works out the Rights of c, whose own rules are own, which may be nil.
func (f *File) rightsOf(own *ruleList, c Client) *Rights {
	r := &Rights{}
	r.otherwise = [actions]Decision{Publish: {Rule: noRule}, Receive: {Rule: noRule},
		Subscribe: {true, openRule}, Unsubscribe: {true, openRule}}
	if own != nil {
		for _, l := range [][]line{own.denied, own.given} {
			for i := range l {
				r.add(&l[i], l[i].filter)
			}
		}
	}
	if c.hasWildcard() && len(f.patterns.denied)+len(f.patterns.given) > 0 {
		for _, a := range []Action{Publish, Receive} {
			r.append(a, entry{how: always, rule: nameRule})
		}
		return r
	}
	for _, l := range [][]line{f.patterns.denied, f.patterns.given} {
		for i := range l {
			if filter, what := expand(l[i].filter, c); what == expanded {
				r.add(&l[i], filter)
			}
		}
	}
	return r
}

// add adds a line to the actions that it is about.
func (r *Rights) add(l *line, filter string) {
	e := entry{filter: filter, allow: l.access != deny, rule: l.rule}
	if l.access == deny || l.access&write != 0 {
		r.append(Publish, e)
	}
	if l.access == deny || l.access&read != 0 {
		r.append(Receive, e)
	}
}

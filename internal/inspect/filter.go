package inspect

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// Filter chooses Records. The zero value takes all.
type Filter struct {
	terms []term
}

// term is one condition, "name=value".
type term struct {
	name  string
	not   bool
	match func(r *Record) bool
}

// FilterNames are the names that terms may begin with, and what follows them.
var FilterNames = [][2]string{
	{"client", "a client id; * at its end stands for any rest"},
	{"topic", "a topic filter: packets whose topic it matches, or that name this very filter"},
	{"type", "CONNECT, PUBLISH, … ; several separated by commas"},
	{"version", "3.1, 3.1.1 or 5.0"},
	{"direction", "to-server or to-client"},
	{"reason", "a Reason Code: its number, such as 0x87, its name, or 'failed' for all from 0x80 on"},
	{"malformed", "yes or no"},
}

// ParseFilter reads terms separated by blanks, such as "client=a type=PUBLISH,PUBACK"; all
// of them must hold. "!=" in place of "=" turns one around. match decides whether a topic
// filter matches a topic.
func ParseFilter(text string, match func(filter, topic string) bool) (Filter, error) {
	var f Filter
	for _, word := range strings.Fields(text) {
		name, value, ok := strings.Cut(word, "=")
		if !ok || value == "" {
			return f, fmt.Errorf("'%s' is no condition: write it as NAME=VALUE, such as type=PUBLISH", word)
		}
		t := term{name: strings.TrimSuffix(name, "!"), not: strings.HasSuffix(name, "!")}
		var err error
		if t.match, err = condition(t.name, value, match); err != nil {
			return f, err
		}
		f.terms = append(f.terms, t)
	}
	return f, nil
}

// Takes reports whether the filter takes r.
func (f *Filter) Takes(r *Record) bool {
	for i := range f.terms {
		if f.terms[i].match(r) == f.terms[i].not {
			return false
		}
	}
	return true
}

func condition(name, value string, match func(filter, topic string) bool) (func(r *Record) bool, error) {
	switch name {
	case "client":
		prefix, open := strings.CutSuffix(value, "*")
		return func(r *Record) bool {
			return r.Connection.ClientID == value || open && strings.HasPrefix(r.Connection.ClientID, prefix)
		}, nil
	case "topic":
		return func(r *Record) bool { return hasTopic(r, value, match) }, nil
	case "type":
		wanted, err := typeSet(value)
		return func(r *Record) bool { return wanted[r.Type&0x0F] }, err
	case "version":
		for _, v := range candidates {
			if v.String() == value || strings.TrimSuffix(v.String(), ".0") == value {
				return func(r *Record) bool { return r.Version == v }, nil
			}
		}
		return nil, fmt.Errorf("'%s' is no version: there are 3.1, 3.1.1 and 5.0", value)
	case "direction":
		if value != "to-server" && value != "to-client" {
			return nil, fmt.Errorf("'%s' is no direction: there are to-server and to-client", value)
		}
		return func(r *Record) bool { return r.FromClient == (value == "to-server") }, nil
	case "reason":
		return reasonCondition(value)
	case "malformed":
		if value != "yes" && value != "no" {
			return nil, errors.New("write malformed=yes or malformed=no")
		}
		return func(r *Record) bool { return (r.Err != nil) == (value == "yes") }, nil
	}
	names := make([]string, len(FilterNames))
	for i := range FilterNames {
		names[i] = FilterNames[i][0]
	}
	return nil, fmt.Errorf("there is no condition '%s': there are %s", name, strings.Join(names, ", "))
}

func typeSet(value string) (set [16]bool, err error) {
	for word := range strings.SplitSeq(value, ",") {
		found := false
		for t := packet.CONNECT; t <= packet.AUTH; t++ {
			if strings.EqualFold(t.String(), word) {
				set[t], found = true, true
			}
		}
		if !found {
			return set, fmt.Errorf("'%s' is no packet type: they are written CONNECT, CONNACK, PUBLISH and so on", word)
		}
	}
	return set, nil
}

func reasonCondition(value string) (func(r *Record) bool, error) {
	if value == "failed" {
		return func(r *Record) bool {
			for _, code := range codes(r) {
				if code.Failed() || r.Type == packet.CONNACK && code != 0 {
					return true
				}
			}
			return false
		}, nil
	}
	wanted := -1
	if n, err := strconv.ParseUint(value, 0, 8); err == nil {
		wanted = int(n)
	}
	for c := 0; wanted < 0 && c < 256; c++ {
		name := strings.ReplaceAll(colibri.ReasonCode(c).String(), " ", "-")
		if colibri.ReasonCode(c).Known() && strings.EqualFold(name, value) {
			wanted = c
		}
	}
	if wanted < 0 {
		return nil, fmt.Errorf("'%s' is no Reason Code: write its number, or its name with hyphens, such as Not-authorized", value)
	}
	return func(r *Record) bool {
		for _, code := range codes(r) {
			if int(code) == wanted {
				return true
			}
		}
		return false
	}, nil
}

// codes returns the Reason Codes that a packet holds.
func codes(r *Record) []colibri.ReasonCode {
	switch p := r.Packet.(type) {
	case *packet.Connack:
		return []colibri.ReasonCode{p.Code}
	case *packet.Puback:
		return []colibri.ReasonCode{p.Code}
	case *packet.Pubrec:
		return []colibri.ReasonCode{p.Code}
	case *packet.Pubrel:
		return []colibri.ReasonCode{p.Code}
	case *packet.Pubcomp:
		return []colibri.ReasonCode{p.Code}
	case *packet.Suback:
		return p.Codes
	case *packet.Unsuback:
		return p.Codes
	case *packet.Disconnect:
		return []colibri.ReasonCode{p.Code}
	case *packet.Auth:
		return []colibri.ReasonCode{p.Code}
	}
	return nil
}

// hasTopic reports whether r is about a topic that filter matches.
func hasTopic(r *Record, filter string, match func(filter, topic string) bool) bool {
	switch p := r.Packet.(type) {
	case *packet.Publish:
		return match(filter, p.Topic)
	case *packet.Connect:
		return p.Will != nil && match(filter, p.Will.Topic)
	case *packet.Subscribe:
		for i := range p.Subscriptions {
			if p.Subscriptions[i].Filter == filter {
				return true
			}
		}
	case *packet.Unsubscribe:
		for _, f := range p.Filters {
			if f == filter {
				return true
			}
		}
	}
	return false
}

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/colibri-mqtt/colibri/internal/acl"
	"github.com/colibri-mqtt/colibri/internal/config"
)

// aclRule is a rule as JSON shows it. The keys of this file are read by scripts.
type aclRule struct {
	File  string `json:"file,omitempty"`
	Line  int    `json:"line,omitempty"`
	Role  string `json:"role,omitempty"`
	Index int    `json:"index,omitempty"` // in the role, from 1
	Text  string `json:"text"`
}

// aclExplanation is what explain prints with --json.
type aclExplanation struct {
	Allowed bool            `json:"allowed"`
	Action  string          `json:"action"`
	Topic   string          `json:"topic"`
	User    string          `json:"user"`
	Client  string          `json:"client"`
	Rule    aclRule         `json:"rule"`
	Looked  []aclConsidered `json:"looked_at"`
}

// aclConsidered is a rule that was looked at.
type aclConsidered struct {
	aclRule
	Filter  string `json:"filter,omitempty"` // for this client
	Allows  bool   `json:"allows"`
	Decides bool   `json:"decides"`
}

// aclReport is what check prints with --json.
type aclReport struct {
	OK       bool         `json:"ok"`
	Error    string       `json:"error,omitempty"`
	File     string       `json:"file,omitempty"` // of the mistake
	Line     int          `json:"line,omitempty"`
	Rules    int          `json:"rules"`
	Users    int          `json:"users"`
	Warnings []aclWarning `json:"warnings"`

	Roles   int `json:"roles"`
	Groups  int `json:"groups"`
	Clients int `json:"clients"` // that roles speak of
}

type aclWarning struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

func ruleJSON(r *acl.Rule) aclRule { return aclRule{r.File, r.Line, r.Role, r.Index, r.Text} }

// printJSON prints v on one line. What a terminal may obey or not show is escaped, beyond
// what JSON asks for.
func printJSON(env *invocation, v any) bool {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(v) != nil {
		return false
	}
	text := b.String()
	if strings.ContainsFunc(text, hiddenInJSON) {
		b.Reset()
		for _, r := range text {
			if !hiddenInJSON(r) {
				b.WriteRune(r)
				continue
			}
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
	}
	_, err := env.stdout.Write(b.Bytes())
	return err == nil
}

func hiddenInJSON(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }

// printExplanation prints what explain has found out, and returns its exit code.
func printExplanation(env *invocation, o *aclOptions, action acl.Action, d acl.Decision, looked []acl.Considered) int {
	out := aclExplanation{Allowed: d.Allowed, Action: action.String(), Topic: o.arguments[1], User: o.client.User, Client: o.client.ID, Rule: ruleJSON(d.Rule)}
	for _, c := range looked {
		out.Looked = append(out.Looked, aclConsidered{ruleJSON(c.Rule), c.Filter, c.Allows, c.Decides})
	}
	if !printJSON(env, out) || !d.Allowed {
		return exitDenied
	}
	return exitOK
}

// reportACL prints what there is to say about rules that were read, and returns the exit
// code.
func reportACL(env *invocation, o *aclOptions, set *acl.Set, err error) int {
	r := &aclReport{OK: err == nil, Warnings: []aclWarning{}}
	if err != nil {
		r.Error = sentence(readingRules(err))
		if wrong, ok := errors.AsType[*acl.FileError](err); ok {
			r.File, r.Line, r.Error = wrong.Path, wrong.Line, wrong.Error()+"."
		} else if wrong, ok := errors.AsType[*config.Error](err); ok {
			r.File, r.Line, r.Error = wrong.File, wrong.Line, wrong.Error()+"."
		}
	} else {
		if f := set.File; f != nil {
			r.Rules, r.Users = f.Rules(), f.Users()
			for _, w := range f.Warnings {
				r.Warnings = append(r.Warnings, aclWarning{f.Path, w.Line, w.Text})
			}
		}
		if m := set.Model; m != nil {
			r.Roles, r.Groups, r.Clients = len(m.Roles), len(m.Groups), len(m.Clients)
		}
	}
	if o.json {
		printJSON(env, r)
	} else {
		r.print(env, set)
	}
	if !r.OK {
		return exitConfig
	}
	return exitOK
}

// readingRules says why rules could not be read.
func readingRules(err error) string {
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Sprintf("the file %s cannot be read: %v", wrong.Path, wrong.Err)
	}
	return err.Error()
}

func (r *aclReport) print(env *invocation, set *acl.Set) {
	if !r.OK {
		fmt.Fprintf(env.stderr, "Error: %s\n", escaped(r.Error, 1<<12))
		return
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(env.stderr, "Warning: %s:%d: %s.\n", w.File, w.Line, w.Text)
	}
	if set.File == nil && set.Model == nil {
		fmt.Fprintln(env.stdout, "The configuration names no ACL file and no roles, so there are no rules.")
	}
	if set.File != nil {
		fmt.Fprintf(env.stdout, "The file is right. Rules: %d; users with rules of their own: %d.\n", r.Rules, r.Users)
	}
	if set.Model != nil {
		fmt.Fprintf(env.stdout, "The roles are right. Roles: %d; groups: %d; clients: %d.\n", r.Roles, r.Groups, r.Clients)
	}
}

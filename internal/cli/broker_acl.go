package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/acl"
	"github.com/colibri-mqtt/colibri/internal/auth"
	"github.com/colibri-mqtt/colibri/internal/config"
)

// firehoses are the values of colibri_firehose.
var firehoses = map[string]acl.Firehose{"allow": acl.FirehoseAllow, "restrict": acl.FirehoseRestrict, "refuse": acl.FirehoseRefuse}

// readRules reads the rules that c names. What their writer should know is added to the
// warnings of c. A nil File is none.
func readRules(c *config.Config) (*acl.Set, error) {
	set := &acl.Set{}
	if c.Access.ACLFile == "" {
		return set, nil
	}
	var err error
	if set.File, err = acl.ReadFile(c.Access.ACLFile); err != nil {
		if wrong, ok := errors.AsType[*fs.PathError](err); ok {
			return nil, &config.Error{File: c.Access.File, Line: c.Access.Line, Key: "acl_file",
				Text: fmt.Sprintf("the acl_file %s cannot be read: %v", wrong.Path, wrong.Err)}
		}
		return nil, err
	}
	for _, w := range set.File.Warnings {
		c.Warnings = append(c.Warnings, config.Warning{File: set.File.Path, Line: w.Line, Text: w.Text})
	}
	return set, nil
}

// useRules makes rules those of the broker.
func (s *brokerServer) useRules(rules *acl.Set) {
	s.access = &auth.Access{Firehose: firehoses[s.config.Access.Firehose]}
	s.access.Set(rules)
}

// authorizer returns who decides what clients may do; nil when nothing is forbidden, which
// costs nothing. It must not be nil when a Checker gives clients rights of their own: the
// broker refuses them then.
func (s *brokerServer) authorizer() broker.Authorizer {
	if len(s.askers.byName) == 0 && s.config.Access.ACLFile == "" && s.access.Firehose == acl.FirehoseAllow {
		return nil
	}
	return s.access
}

// reloadRules lets the ACL file be read again while b serves.
func (s *brokerServer) reloadRules(b *broker.Broker) {
	if s.config.Access.ACLFile == "" {
		return
	}
	s.reloads = append(s.reloads, reloaded{what: "the access rules", files: []string{s.config.Access.ACLFile}, load: func() error {
		file, err := acl.ReadFile(s.config.Access.ACLFile)
		if err != nil {
			return errors.New("the ACL file is wrong: " + readingRules(err))
		}
		for _, w := range file.Warnings {
			s.log.printf(logWarning, "%s:%d: %s.", escaped(file.Path, 1<<12), w.Line, w.Text)
		}
		s.access.Set(&acl.Set{File: file})
		b.Reauthorize()
		return nil
	}})
}

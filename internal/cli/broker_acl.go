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
// warnings of c.
func readRules(c *config.Config) (*acl.Set, error) {
	set := &acl.Set{}
	if c.Access.ACLFile != "" {
		file, err := acl.ReadFile(c.Access.ACLFile)
		if err != nil {
			return nil, unreadable(err, "acl_file", config.Place{File: c.Access.File, Line: c.Access.Line})
		}
		for _, w := range file.Warnings {
			c.Warnings = append(c.Warnings, config.Warning{File: file.Path, Line: w.Line, Text: w.Text})
		}
		set.File = file
	}
	if c.Access.RolesFile != "" {
		model, err := readRoles(c.Access.RolesFile)
		if err != nil {
			return nil, unreadable(err, "colibri_roles_file", c.Access.RolesAt)
		}
		set.Model = model
	}
	if set.File != nil && set.Model != nil && (set.Model.DefaultAccess.PublishClientReceive || set.Model.DefaultAccess.PublishClientSend) {
		c.Warnings = append(c.Warnings, config.Warning{File: c.Access.RolesAt.File, Line: c.Access.RolesAt.Line,
			Text: "the defaultACLAccess of the roles allows publishClientReceive or publishClientSend, so that for the clients of the roles the read or write lines of the acl_file are not asked"})
	}
	return set, nil
}

// unreadable says where the configuration names a file that cannot be read. What is wrong in
// the file says so itself.
func unreadable(err error, key string, at config.Place) error {
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		return &config.Error{File: at.File, Line: at.Line, Key: key,
			Text: fmt.Sprintf("the %s %s cannot be read: %v", key, wrong.Path, wrong.Err)}
	}
	return err
}

// useRules makes rules those of the broker.
func (s *brokerServer) useRules(rules *acl.Set) {
	s.access = &auth.Access{Firehose: firehoses[s.config.Access.Firehose]}
	s.access.Set(rules)
	s.rules = rules
}

// authorizer returns who decides what clients may do; nil when nothing is forbidden, which
// costs nothing. It must not be nil when a Checker gives clients rights of their own: the
// broker refuses them then.
func (s *brokerServer) authorizer() broker.Authorizer {
	if len(s.askers.byName) == 0 && s.rules.File == nil && s.rules.Model == nil && s.access.Firehose == acl.FirehoseAllow {
		return nil
	}
	return s.access
}

// reloadRules lets the files with rules be read again while b serves: each alone, so that a
// mistake in one does not hold up the other.
func (s *brokerServer) reloadRules(b *broker.Broker) {
	use := func(set acl.Set) {
		s.rules = &set
		s.access.Set(&set)
		b.Reauthorize()
	}
	if path := s.config.Access.ACLFile; path != "" {
		s.reloads = append(s.reloads, reloaded{what: "the access rules", files: []string{path}, load: func() error {
			file, err := acl.ReadFile(path)
			if err != nil {
				return errors.New("the ACL file is wrong: " + readingRules(err))
			}
			for _, w := range file.Warnings {
				s.log.printf(logWarning, "%s:%d: %s.", escaped(file.Path, 1<<12), w.Line, w.Text)
			}
			use(acl.Set{File: file, Model: s.rules.Model})
			return nil
		}})
	}
	if path := s.config.Access.RolesFile; path != "" {
		s.reloads = append(s.reloads, reloaded{what: "the roles", files: []string{path}, load: func() error {
			model, err := readRoles(path)
			if err != nil {
				return errors.New("the file of roles is wrong: " + readingRules(err))
			}
			use(acl.Set{File: s.rules.File, Model: model})
			return nil
		}})
	}
}

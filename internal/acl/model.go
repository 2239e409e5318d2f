package acl

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/colibri-mqtt/colibri/topic"
)

// Model are roles and groups in the form of Mosquitto's dynamic security; its JSON form is
// that of the state file. What decides about a client, in this order, is: its own roles,
// those with the higher priority first; then those of its groups, likewise; then the
// DefaultAccess of the kind of access. In a role the rules with the higher priority come
// first. Clients are known by User Name; those without one have the roles of
// AnonymousGroup. A client that is not known may do nothing. In a pattern about Subscriptions
// a wildcard stands for everything, also for what begins with "$", and so for Shared
// Subscriptions, as in Mosquitto.
type Model struct {
	DefaultAccess  DefaultAccess `json:"defaultACLAccess"`
	AnonymousGroup string        `json:"anonymousGroup,omitempty"`
	Clients        []ModelClient `json:"clients"`
	Groups         []Group       `json:"groups"`
	Roles          []Role        `json:"roles"`

	roles   map[string][]modelRule
	clients map[string]*modelClient
	nobody  *modelClient // a client without a User Name
	unknown *Rights      // of a User Name that is not known
}

// DefaultAccess says what is allowed when no rule of a client speaks of it.
type DefaultAccess struct {
	PublishClientSend    bool `json:"publishClientSend"`
	PublishClientReceive bool `json:"publishClientReceive"`
	Subscribe            bool `json:"subscribe"`
	Unsubscribe          bool `json:"unsubscribe"`
}

// ModelClient is a client with its roles.
type ModelClient struct {
	UserName string     `json:"username"`
	ClientID string     `json:"clientid,omitempty"` // the only one that it may have; empty for any
	Disabled bool       `json:"disabled,omitempty"`
	Roles    []RoleRef  `json:"roles"`
	Groups   []GroupRef `json:"groups"`
}

// RoleRef gives a role to a client or a group. The higher priority is asked first.
type RoleRef struct {
	Name     string `json:"rolename"`
	Priority int    `json:"priority,omitempty"`
}

// GroupRef puts a client into a group.
type GroupRef struct {
	Name     string `json:"groupname"`
	Priority int    `json:"priority,omitempty"`
}

// Group is a group with its roles, and clients that are in it.
type Group struct {
	Name    string     `json:"groupname"`
	Roles   []RoleRef  `json:"roles"`
	Clients []MemberOf `json:"clients,omitempty"`
}

// MemberOf puts a client into the group that names it.
type MemberOf struct {
	UserName string `json:"username"`
	Priority int    `json:"priority,omitempty"`
}

// Role is a set of rules with a name.
type Role struct {
	Name string     `json:"rolename"`
	ACLs []RoleRule `json:"acls"`
}

// RoleRule is one rule of a Role. In the topic %u and %c stand for the client's names.
type RoleRule struct {
	Type     string `json:"acltype"` // one of the names in ruleTypes
	Topic    string `json:"topic"`
	Priority int    `json:"priority,omitempty"`
	Allow    bool   `json:"allow"`
}

// ruleTypes are the kinds of rules of a role.
var ruleTypes = map[string]struct {
	action Action
	how    how
}{
	"publishClientSend":    {Publish, matches},
	"publishClientReceive": {Receive, matches},
	"subscribeLiteral":     {Subscribe, equals},
	"subscribePattern":     {Subscribe, spans},
	"unsubscribeLiteral":   {Unsubscribe, equals},
	"unsubscribePattern":   {Unsubscribe, spans},
}

// modelRule is a RoleRule that has been looked up.
type modelRule struct {
	action Action
	entry  entry
}

// modelClient is a client with the names of its roles, in the order in which they are
// asked.
type modelClient struct {
	disabled bool
	clientID string
	roles    []string
	groups   []prioritized
	shared   *Rights // whatever the Client Identifier is; nil when a role has a pattern
}

type prioritized struct {
	name     string
	priority int
}

// ReadModel reads the JSON form of a Model. Keys that are about other things than access,
// such as passwords, are passed over and not kept.
func ReadModel(source io.Reader) (*Model, error) {
	m := &Model{}
	decoder := json.NewDecoder(source)
	if err := decoder.Decode(m); err != nil {
		return nil, fmt.Errorf("the roles cannot be read: %w", err)
	}
	if decoder.More() {
		return nil, errors.New("the roles cannot be read: something stands behind the object")
	}
	if err := m.WorkOut(); err != nil {
		return nil, err
	}
	return m, nil
}

// WorkOut makes what the exported fields say hold. It has to be called before Rights, and
// never beside it. The error names a rule, a role or a group that does not exist.
func (m *Model) WorkOut() error {
	m.roles = make(map[string][]modelRule)
	for i := range m.Roles {
		rules, err := m.Roles[i].workOut()
		if err != nil {
			return err
		}
		m.roles[m.Roles[i].Name] = rules
	}
	groups := make(map[string][]string)
	for _, g := range m.Groups {
		roles, err := m.inOrder(g.Roles, "the group", g.Name)
		if err != nil {
			return err
		}
		groups[g.Name] = roles
	}
	m.clients = make(map[string]*modelClient)
	for i := range m.Clients {
		c := &m.Clients[i]
		roles, err := m.inOrder(c.Roles, "the client", c.UserName)
		if err != nil {
			return err
		}
		m.clients[c.UserName] = &modelClient{disabled: c.Disabled, clientID: c.ClientID, roles: roles}
		for _, g := range c.Groups {
			m.clients[c.UserName].join(g.Name, g.Priority)
		}
	}
	for _, g := range m.Groups {
		for _, member := range g.Clients {
			if c := m.clients[member.UserName]; c != nil {
				c.join(g.Name, member.Priority)
			}
		}
	}
	m.nobody = &modelClient{}
	if m.AnonymousGroup != "" {
		m.nobody.join(m.AnonymousGroup, 0)
	}
	for name, c := range m.clients {
		if err := c.addGroups(groups); err != nil {
			return fmt.Errorf("the client '%s': %w", name, err)
		}
	}
	if err := m.nobody.addGroups(groups); err != nil {
		return fmt.Errorf("anonymousGroup: %w", err)
	}
	m.unknown = (&Rights{}).nothing(unknownRule)
	m.share(m.nobody, "")
	for name, c := range m.clients {
		m.share(c, name)
	}
	return nil
}

func (r *Role) workOut() ([]modelRule, error) {
	order := make([]int, len(r.ACLs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(r.ACLs[b].Priority, r.ACLs[a].Priority) })
	rules := make([]modelRule, 0, len(order))
	for _, i := range order {
		acl := &r.ACLs[i]
		kind, ok := ruleTypes[acl.Type]
		if !ok {
			return nil, fmt.Errorf("the role '%s', rule %d: there is no acltype '%s'", r.Name, i+1, acl.Type)
		}
		if err := topic.CheckFilter(acl.Topic); err != nil && !strings.HasPrefix(acl.Topic, "$share/") {
			return nil, fmt.Errorf("the role '%s', rule %d: the topic is not one: %w", r.Name, i+1, err)
		}
		verb := "deny"
		if acl.Allow {
			verb = "allow"
		}
		rules = append(rules, modelRule{kind.action, entry{filter: acl.Topic, how: kind.how, allow: acl.Allow,
			rule: &Rule{Role: r.Name, Index: i + 1, Text: acl.Type + " " + acl.Topic + " " + verb}}})
	}
	// What is meant for one Topic Filter is asked before patterns.
	slices.SortStableFunc(rules, func(a, b modelRule) int { return cmp.Compare(literal(&b), literal(&a)) })
	return rules, nil
}

func literal(r *modelRule) int {
	if r.entry.how == equals {
		return 1
	}
	return 0
}

// inOrder returns the names of roles, the highest priority first.
func (m *Model) inOrder(refs []RoleRef, what, owner string) (names []string, err error) {
	refs = slices.Clone(refs)
	slices.SortStableFunc(refs, func(a, b RoleRef) int { return cmp.Compare(b.Priority, a.Priority) })
	for _, ref := range refs {
		if _, ok := m.roles[ref.Name]; !ok {
			return nil, fmt.Errorf("%s '%s' has a role that does not exist: '%s'", what, owner, ref.Name)
		}
		names = append(names, ref.Name)
	}
	return names, nil
}

// join puts the client into a group, once: a state file says it in two places.
func (c *modelClient) join(name string, priority int) {
	if !slices.ContainsFunc(c.groups, func(g prioritized) bool { return g.name == name }) {
		c.groups = append(c.groups, prioritized{name, priority})
	}
}

// addGroups adds the roles of the groups behind those of the client.
func (c *modelClient) addGroups(groups map[string][]string) error {
	slices.SortStableFunc(c.groups, func(a, b prioritized) int { return cmp.Compare(b.priority, a.priority) })
	for _, g := range c.groups {
		roles, ok := groups[g.name]
		if !ok {
			return fmt.Errorf("there is no group '%s'", g.name)
		}
		c.roles = append(c.roles, roles...)
	}
	return nil
}

// Rights returns what c may do.
func (m *Model) Rights(c Client) *Rights {
	known := m.nobody
	if c.User != "" {
		known = m.clients[c.User]
	}
	switch {
	case known == nil:
		return m.unknown
	case known.disabled:
		return shutOut(disabledRule)
	case known.clientID != "" && known.clientID != c.ID:
		return shutOut(otherIDRule)
	case known.shared != nil:
		return known.shared
	}
	return m.rightsOf(known, c)
}

// share works out the Rights that all clients of one user share.
func (m *Model) share(known *modelClient, user string) {
	for _, role := range known.roles {
		if slices.ContainsFunc(m.roles[role], func(r modelRule) bool { return isPattern(r.entry.filter) }) {
			return
		}
	}
	known.shared = m.rightsOf(known, Client{User: user})
}

// rightsOf works out the Rights of c, which is known.
func (m *Model) rightsOf(known *modelClient, c Client) *Rights {
	r := &Rights{}
	for _, role := range known.roles {
		for i := range m.roles[role] {
			rule := m.roles[role][i]
			filter, what := expand(rule.entry.filter, c)
			switch {
			case what == expanded:
				rule.entry.filter = filter
			case what == dangerous && !rule.entry.allow: // it may be meant for this client
				rule.entry.how = always
			default:
				continue
			}
			r.append(rule.action, rule.entry)
		}
	}
	for a, allow := range map[Action]bool{Publish: m.DefaultAccess.PublishClientSend, Receive: m.DefaultAccess.PublishClientReceive,
		Subscribe: m.DefaultAccess.Subscribe, Unsubscribe: m.DefaultAccess.Unsubscribe} {
		r.otherwise[a] = Decision{allow, defaultRules[a][allow]}
		if allow {
			r.append(a, entry{filter: "$CONTROL/#", how: controlHow(a), rule: controlRule})
		}
	}
	return r
}

// controlHow is how a rule about $CONTROL/# is compared.
func controlHow(a Action) how {
	if a == Subscribe || a == Unsubscribe {
		return covers
	}
	return matches
}

// shutOut returns Rights to nothing, whatever other rules say.
func shutOut(rule *Rule) *Rights {
	r := (&Rights{}).nothing(rule)
	r.shut = true
	return r
}

// nothing denies everything.
func (r *Rights) nothing(rule *Rule) *Rights {
	for a := range r.otherwise {
		r.otherwise[a] = Decision{Rule: rule}
	}
	return r
}

// defaultRules name the default accesses.
var defaultRules = func() (rules [actions]map[bool]*Rule) {
	for a, name := range [actions]string{"publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"} {
		rules[a] = map[bool]*Rule{true: {Text: "defaultACLAccess " + name + " allow"}, false: {Text: "defaultACLAccess " + name + " deny"}}
	}
	return rules
}()

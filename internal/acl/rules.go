package acl

// Rules are rights that come with a client, such as from the claims of its token. They
// decide alone: a client that has them is not looked up in an ACL file or among the roles.
// What they do not name is denied. In the filters %u and %c stand for the client's names.
type Rules struct {
	Source    string   // where they come from, for people: "the token"; never a secret
	Publish   []string // Topic Filters of what it may publish
	Subscribe []string // Topic Filters of what it may subscribe to and receive; a narrower filter may be subscribed to, too
}

// Rights returns what c may do.
func (rules *Rules) Rights(c Client) *Rights {
	r := &Rights{}
	for a := range r.otherwise {
		r.otherwise[a] = Decision{Rule: tokenRule}
	}
	r.otherwise[Unsubscribe].Allowed = true
	add := func(verb string, filters []string, into ...Action) {
		for _, written := range filters {
			filter, what := expand(written, c)
			if what != expanded {
				continue
			}
			rule := &Rule{Text: rules.Source + ": " + verb + " " + written}
			for _, a := range into {
				e := entry{filter: filter, allow: true, rule: rule}
				if a == Subscribe {
					e.how = covers
				}
				r.append(a, e)
			}
		}
	}
	add("publish", rules.Publish, Publish)
	add("subscribe", rules.Subscribe, Subscribe, Receive)
	return r
}

package router

import "github.com/colibri-mqtt/colibri"

// Match is one subscriber that receives a message, with what its Subscriptions make
// of it.
type Match[S comparable] struct {
	Subscriber        S           // the zero value for a Shared Subscription none of whose members is online
	Share             string      // the Topic Filter of the Shared Subscription; empty when it is none
	QoS               colibri.QoS // the highest of the Subscriptions that matched [MQTT-3.3.4-2]
	RetainAsPublished bool
	Identifier        uint32   // the Subscription Identifier when there is just one; 0 without
	Identifiers       []uint32 // all of them when there are more [MQTT-3.3.4-4]
}

// Delivery returns what message becomes for the subscriber.
func (m *Match[S]) Delivery(message *colibri.Message) colibri.Delivery {
	d := colibri.Delivery{
		Message: message,
		Share:   m.Share,
		QoS:     min(message.QoS, m.QoS),
		Retain:  message.Retain && m.RetainAsPublished, // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
	}
	switch {
	case m.Identifiers != nil:
		d.Identifiers = m.Identifiers
	case m.Identifier != 0:
		d.Identifiers = []uint32{m.Identifier}
	}
	return d
}

// Matches collects the subscribers of one message. It keeps its memory from one Route
// to the next; it is not safe for concurrent use.
type Matches[S comparable] struct {
	List    []Match[S]
	shared  []Match[S] // the members chosen from Shared Subscriptions, put at the end of List
	overlap map[S]int  // position in List, from the second filter on
	nodes   []*node[S] // with Subscriptions that are not shared, of the message at hand
}

// keepOverlap is the number of subscribers above which the map is not kept for the
// next message: clearing a large one costs more than it saves.
const keepOverlap = 1024

// Route fills m with the subscribers of topic name, each once whatever the number of
// its Subscriptions that match. publisher is the Session that sent the message: its No
// Local Subscriptions do not match [MQTT-3.8.3-3]. Of a Shared Subscription one member
// is chosen among those that are online, as the Strategy says; when there is none, the
// match has no Subscriber and the highest QoS of all members.
func (r *Router[S]) Route(name string, publisher S, m *Matches[S]) {
	r.route(name, publisher, m, true)
}

// Peek is Route for a message that is not sent: it fills m with those that Route would choose
// now, and nobody has had a turn.
func (r *Router[S]) Peek(name string, publisher S, m *Matches[S]) {
	r.route(name, publisher, m, false)
}

// route is Route, and Peek when it does not take a turn.
func (r *Router[S]) route(name string, publisher S, m *Matches[S], take bool) {
	m.List = m.List[:0]
	largest := 0
	r.tree.Match(name, func(n *node[S]) bool {
		if size := n.entries.len(); size > 0 {
			if m.nodes = append(m.nodes, n); size > m.nodes[largest].entries.len() {
				largest = len(m.nodes) - 1
			}
		}
		for _, g := range n.groups {
			r.addMember(m, g, name, publisher, take)
		}
		return true
	})
	// The largest goes last: it looks its subscribers up among the others' and does not
	// enter them.
	if last := len(m.nodes) - 1; last >= 0 {
		m.nodes[largest], m.nodes[last] = m.nodes[last], m.nodes[largest]
		for i, n := range m.nodes {
			m.addNode(n, publisher, i > 0, i < last)
		}
		clear(m.nodes)
		m.nodes = m.nodes[:0]
	}
	m.List = append(m.List, m.shared...)
	m.shared = m.shared[:0]
	switch n := len(m.overlap); {
	case n > keepOverlap:
		m.overlap = nil
	case n > 0:
		clear(m.overlap)
	}
}

func (m *Matches[S]) addNode(n *node[S], publisher S, find, enter bool) {
	size := n.entries.len()
	m.addEntry(&n.entries.first, publisher, find, enter)
	for i, left := 0, size-1; left > 0; i++ {
		page := n.entries.pages[i][:min(left, pageLength)]
		for j := range page {
			m.addEntry(&page[j], publisher, find, enter)
		}
		left -= pageLength
	}
}

// addEntry adds one Subscription. find says that an earlier filter may have matched the
// subscriber, enter that a later one may.
func (m *Matches[S]) addEntry(e *entry[S], publisher S, find, enter bool) {
	if e.noLocal && e.subscriber == publisher {
		return
	}
	if find && len(m.overlap) > 0 {
		if i, ok := m.overlap[e.subscriber]; ok {
			m.List[i].merge(e)
			return
		}
	}
	if enter {
		if m.overlap == nil {
			m.overlap = make(map[S]int)
		}
		m.overlap[e.subscriber] = len(m.List)
	}
	m.List = append(m.List, Match[S]{Subscriber: e.subscriber, QoS: e.qos,
		RetainAsPublished: e.retainAsPublished, Identifier: e.identifier})
}

// merge adds a further Subscription of the same subscriber.
func (to *Match[S]) merge(e *entry[S]) {
	to.QoS = max(to.QoS, e.qos)
	to.RetainAsPublished = to.RetainAsPublished || e.retainAsPublished
	switch {
	case e.identifier == 0:
	case to.Identifiers != nil:
		to.Identifiers = append(to.Identifiers, e.identifier)
	case to.Identifier != 0:
		to.Identifiers = []uint32{to.Identifier, e.identifier}
	default:
		to.Identifier = e.identifier
	}
}

// addMember adds the member of a Shared Subscription that is chosen to receive the
// message. It is a delivery of its own, beside those of the Subscriptions that are not
// shared.
func (r *Router[S]) addMember(m *Matches[S], g *group[S], name string, publisher S, take bool) {
	e := r.choose(g, name, publisher, take)
	if e == nil {
		m.shared = append(m.shared, Match[S]{Share: g.filter, QoS: g.highestQoS()})
		return
	}
	m.shared = append(m.shared, Match[S]{Subscriber: e.subscriber, Share: g.filter, QoS: e.qos,
		RetainAsPublished: e.retainAsPublished, Identifier: e.identifier})
}

// highestQoS returns the highest of all members.
func (g *group[S]) highestQoS() (highest colibri.QoS) {
	for i := range g.members.len() {
		highest = max(highest, g.members.at(i).qos)
	}
	return highest
}

package session

import (
	"hash/maphash"
	"strings"
)

// Aliases are the Topic Aliases that the Server has assigned on one Network Connection
// [MQTT-3.3.2-12]: to the topics that repeat most. A topic has to come a few times before
// it gets one, and once all are in use one that is rarely used goes over to it. It is not
// safe for concurrent use: what Use returns has to be sent in the order of the calls.
type Aliases struct {
	most   uint16
	topics []aliased         // by alias - 1
	index  map[string]uint16 // alias by topic
	seen   []candidate       // by hash of the topic, aliasWays each
	hand   int               // of the clock that looks for one that is rarely used
}

// aliased is a topic that has an alias, and how often it was used since the clock's hand
// came by.
type aliased struct {
	topic string
	uses  uint8
}

// candidate is a topic without an alias, by its hash, and how often it came more than
// others that share its place.
type candidate struct {
	hash  uint32
	count uint8
}

const (
	aliasCandidates = 64 // places for topics without an alias
	aliasWays       = 4  // of them for topics of the same hash
	aliasRepeats    = 3  // a topic that has come so often gets an alias
	aliasShortest   = 5  // bytes of the shortest topic that is worth the 3 bytes of an alias
	aliasMostUses   = 15 // what a topic can save up against the clock
)

var aliasSeed = maphash.MakeSeed()

// NewAliases returns Aliases for a client whose Topic Alias Maximum is most, 1 or more.
func NewAliases(most uint16) *Aliases { return &Aliases{most: most} }

// Use returns the alias for a PUBLISH to topic, 0 for none. known says that the client
// knows it: the packet needs no Topic Name; otherwise it carries both. The topic is copied.
func (a *Aliases) Use(topic string) (alias uint16, known bool) {
	if len(topic) < aliasShortest {
		return 0, false
	}
	if alias, known = a.index[topic]; known {
		t := &a.topics[alias-1]
		t.uses = min(t.uses+1, aliasMostUses)
		return alias, true
	}
	if !a.repeats(topic) {
		return 0, false
	}
	return a.assign(topic), false
}

// repeats counts a topic without an alias, and reports whether it has come often enough.
func (a *Aliases) repeats(topic string) bool {
	if a.seen == nil {
		a.seen = make([]candidate, aliasCandidates)
	}
	hash := uint32(maphash.String(aliasSeed, topic))
	first := hash % (aliasCandidates / aliasWays) * aliasWays
	ways := a.seen[first : first+aliasWays]
	c := &ways[0]
	for i := range ways {
		if w := &ways[i]; w.hash == hash && w.count > 0 {
			c = w
			break
		} else if w.count < c.count {
			c = w
		}
	}
	switch {
	case c.count > 0 && c.hash == hash:
		c.count++
	case c.count > 0:
		c.count--
		return false
	default:
		*c = candidate{hash, 1}
	}
	if c.count < aliasRepeats {
		return false
	}
	*c = candidate{}
	return true
}

// assign gives topic an unused alias, or that of a topic that is rarely used; 0 when there
// is none.
func (a *Aliases) assign(topic string) uint16 {
	if a.index == nil {
		a.index = make(map[string]uint16)
	}
	topic = strings.Clone(topic)
	if len(a.topics) < int(a.most) {
		a.topics = append(a.topics, aliased{topic: topic, uses: 1})
		a.index[topic] = uint16(len(a.topics))
		return uint16(len(a.topics))
	}
	for range min(8, len(a.topics)) {
		a.hand = (a.hand + 1) % len(a.topics)
		t := &a.topics[a.hand]
		if t.uses == 0 {
			delete(a.index, t.topic)
			*t = aliased{topic: topic, uses: 1}
			a.index[topic] = uint16(a.hand + 1)
			return uint16(a.hand + 1)
		}
		t.uses /= 2
	}
	return 0
}

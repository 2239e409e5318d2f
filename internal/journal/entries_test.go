package journal

import (
	"cmp"
	"maps"
	"slices"
)

// Entries yields entries that fold to a State equal to s: a snapshot. Their order is
// always the same. They share memory with s, which must not change meanwhile.
func (s *State) Entries(yield func(Entry) bool) {
	_ = yield(Format{FormatVersion, s.LastSession, s.LastMessage, s.LastRetained}) &&
		s.messageEntries(yield) && s.sessionEntries(yield) && s.retainedEntries(yield)
}

func (s *State) messageEntries(yield func(Entry) bool) bool {
	for _, number := range slices.Sorted(maps.Keys(s.messages)) {
		if !yield(MessageStored{number, s.messages[number].message}) {
			return false
		}
	}
	return true
}

func (s *State) sessionEntries(yield func(Entry) bool) bool {
	byNumber := func(a, b *Session) int { return cmp.Compare(a.Number, b.Number) }
	for _, session := range slices.SortedFunc(maps.Values(s.Sessions), byNumber) {
		if !session.entries(yield) {
			return false
		}
	}
	return true
}

func (s *Session) entries(yield func(Entry) bool) bool {
	if !yield(SessionOpened{s.Number, s.ClientID, s.Version, s.ExpiryInterval}) {
		return false
	}
	if s.Closed != 0 && !yield(SessionClosed{s.Number, s.Closed, s.ExpiryInterval}) {
		return false
	}
	if s.Will != nil && !yield(WillStored{s.Number, s.WillDelay, s.Will}) {
		return false
	}
	if a := s.WillAuthor; a != nil && !yield(WillAuthor{s.Number, a.UserName, a.OwnRights}) {
		return false
	}
	for _, filter := range slices.Sorted(maps.Keys(s.Subscriptions)) {
		if !yield(SubscriptionGranted{s.Number, s.Subscriptions[filter]}) {
			return false
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Received)) {
		if !yield(PublishReceived{s.Number, id}) {
			return false
		}
	}
	for _, d := range s.Deliveries() {
		if !d.entries(s.Number, yield) {
			return false
		}
	}
	return s.settledEntries(yield)
}

func (d *Delivery) entries(session uint64, yield func(Entry) bool) bool {
	if d.Message != nil && !yield(DeliveryQueued{session, d.Number, d.MessageNumber, d.QoS, d.Retain, d.Identifiers, d.Share}) {
		return false
	}
	switch d.State {
	case Sent:
		return yield(DeliverySent{session, d.Number, d.PacketID})
	case AwaitPubcomp:
		return yield(PubrecReceived{session, d.Number, d.PacketID})
	}
	return true
}

// settledEntries yields what lies between the gaps.
func (s *Session) settledEntries(yield func(Entry) bool) bool {
	first := uint64(1)
	for _, open := range s.gaps {
		if open.first > first && !yield(DeliveriesSettled{s.Number, first, open.first - 1}) {
			return false
		}
		first = open.last + 1
	}
	return first > s.LastDelivery || yield(DeliveriesSettled{s.Number, first, s.LastDelivery})
}

func (s *State) retainedEntries(yield func(Entry) bool) bool {
	for _, topic := range slices.Sorted(maps.Keys(s.Retained)) {
		if !yield(RetainedSet{s.Retained[topic].Number, s.Retained[topic].Message}) {
			return false
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(s.removed)) {
		if !yield(RetainedRemoved{s.removed[topic], topic}) {
			return false
		}
	}
	return true
}

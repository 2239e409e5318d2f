// Package topic checks, matches, explains and indexes Topic Names and Topic
// Filters (MQTT 5.0 sections 4.7 and 4.8.2, MQTT 3.1.1 section 4.7).
//
//   - CheckName and CheckFilter say whether a text is legal and point at the
//     character that is not; SplitShared takes a Shared Subscription apart.
//   - Match says whether a filter matches a name, Explain says why, level by level.
//   - Tree finds the values of all filters that match a name: the subscriptions.
//   - Names finds the values of all names that a filter matches: the Retained Messages.
//
// A level is the text between two "/"; it may be empty, so that "/a", "a/" and
// "a//b" have two, two and three levels. Levels are compared byte for byte, without
// any normalization [MQTT-4.7.3-4].
//
// Match, Explain, Tree and Names never fail and never panic, whatever text they are
// given, but their answers follow the standard only for names and filters that
// CheckName and CheckFilter accept. They know nothing of Shared Subscriptions: give
// them the inner filter of SplitShared.
//
// The package is pure: it starts no goroutine, does no input or output and asks for no
// time. Its only randomness are the seeds of hash/maphash, drawn once per process.
package topic

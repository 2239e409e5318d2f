// Package topics explains Topic Names and Topic Filters to people, in English and French,
// and keeps what is seen of the topics of a broker.
//
//   - Explainer.Explain says why a filter matches a name or does not, level by level.
//   - Explainer.Filter and Explainer.Name say whether a text is legal, what is wrong with
//     it, and what is legal but seldom meant, or costly.
//   - Live is a bounded tree of topics with the last message of each and its rate.
//
// What is right is decided by package topic alone. The package is pure. An Explainer is
// safe for concurrent use, a Live is not.
package topics

// Package colibri holds the vocabulary that every other package of the module
// shares: Message, Subscription, Delivery, QoS, Version, ReasonCode, Property
// and Error. It is pure: no network, no clock, no goroutines, and it imports
// nothing but the standard library's text tools.
//
// The names are those of the MQTT 5.0 standard (OASIS, 7 March 2019). Where
// 3.1.1 or 3.1 has another name for the same thing, the comment says so.
package colibri

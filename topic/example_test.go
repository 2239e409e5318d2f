package topic_test

import (
	"errors"
	"fmt"

	"github.com/colibri-mqtt/colibri/topic"
)

func ExampleMatch() {
	fmt.Println(topic.Match("maison/+/temperature", "maison/salon/temperature"))
	fmt.Println(topic.Match("maison/salon/#", "maison/salon"))
	fmt.Println(topic.Match("#", "$SYS/broker/uptime"))
	// Output:
	// true
	// true
	// false
}

func ExampleExplain() {
	for _, level := range topic.Explain("maison/+/temperature", "maison/salon/etagere1/temperature") {
		fmt.Printf("%-12s %-12s %-5t %s\n", level.Filter, level.Name, level.Matches, level.Why)
	}
	// Output:
	// maison       maison       true  same
	// +            salon        true  + stands for exactly one level
	// temperature  etagere1     false differs
	//              temperature  false the topic has more levels; + stands for exactly one
}

func ExampleSyntaxError_Pointer() {
	var fault *topic.SyntaxError
	if errors.As(topic.CheckFilter("maison/#/temperature"), &fault) {
		fmt.Println(fault.Pointer())
	}
	// Output:
	// maison/#/temperature
	//        ^ must be the last level
}

module github.com/colibri-mqtt/colibri

go 1.26

// Package protoyaml stands in go.mod for the library of that name. LiveKit's packages read and write a few settings of rooms with it, by way
// of YAML, which Rempart never does. Why not the library: it checks messages by rules in a language of their own, whose tables it and what it
// brings unpack whenever a process starts (docs/adr/0018). Here YAML is turned into JSON, of which protobuf's own package knows the form.
package protoyaml

import (
	"encoding/json"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Unmarshal reads a message. A key that it does not have is an error.
func Unmarshal(data []byte, message proto.Message) error {
	var value any
	if err := yaml.Unmarshal(data, &value); err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(text, message)
}

// MarshalOptions say how a message is written.
type MarshalOptions struct {
	// UseProtoNames writes the names of fields as the message's source has them.
	UseProtoNames bool
}

// Marshal writes a message.
func (o MarshalOptions) Marshal(message proto.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: o.UseProtoNames}.Marshal(message)
	if err != nil {
		return nil, err
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, err
	}
	return yaml.Marshal(value)
}

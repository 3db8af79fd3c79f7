module buf.build/go/protoyaml

go 1.26

require (
	google.golang.org/protobuf v1.36.11
	go.yaml.in/yaml/v3 v3.0.5
)

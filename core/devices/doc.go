// Package devices owns what devices need of each other to talk encrypted: device lists, identity keys, one-time and
// fallback keys, cross-signing, messages from device to device, and the backup of room keys.
//
// It is called by the entrances and read by sync through storage. A one-time key is handed out once, on any number of
// nodes. It never looks into what it carries: messages and backups are opaque to it.
package devices

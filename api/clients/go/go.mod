module github.com/ao/hivemind

go 1.19

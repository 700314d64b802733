needs=(go)
https=1
fetch() { GOWORK=off go mod download; }
build() { GOWORK=off go build -o server .; }
start() { SSL_CERT_FILE=$CA exec ./server; }

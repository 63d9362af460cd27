# A key in a TPM, certificates for it and for a server, and servers that want a client's certificate; in one folder.

client=$B/system/tls_client

# tls_make: in the folder where we are: ca.pem, server.pem, and house.pem for the key ldevid.key of the TPM at $tcti; the
# same for a key in a plain file, file.key; and another CA's.
tls_make() {
	local ca
	for ca in ca other-ca; do
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $ca.key -subj "/CN=$ca" -days 30 -out $ca.pem
	done
	tls_certificate server server.key && tls_certificate file file.key || return
	"$client" make-key "$tcti" ldevid.key >ldevid.pub || return
	openssl x509 -new -force_pubkey ldevid.pub -CA ca.pem -CAkey ca.key -subj /CN=house -days 30 -out house.pem
}

tls_certificate() { # NAME KEY: a new P-256 key in a plain file, and its certificate
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$2" -subj "/CN=$1" -out "$1.csr" &&
		openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -days 30 -out "$1.pem"
}

free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# server_start WORD…: openssl s_server that wants a certificate of ca.pem and sends lines back reversed; $port, $server
server_start() {
	port=$(free_port)
	openssl s_server -accept 127.0.0.1:"$port" -cert server.pem -key server.key -CAfile ca.pem -Verify 1 -verify_return_error \
		-tls1_3 -rev "$@" >server.log 2>&1 3>&- &
	server=$!
	wait_until 10 grep -q ACCEPT server.log || { cat server.log; return 1; }
}

# broker_start: mosquitto, likewise; who comes is named by the certificate's CN; $port, $server
broker_start() {
	port=$(free_port)
	printf '%s\n' "listener $port 127.0.0.1" "user $(id -un)" "cafile $PWD/ca.pem" "certfile $PWD/server.pem" \
		"keyfile $PWD/server.key" "require_certificate true" "use_identity_as_username true" "tls_version tlsv1.3" \
		"set_tcp_nodelay true" "log_type all" >mosquitto.conf
	mosquitto=$(PATH=$PATH:/usr/sbin:/sbin command -v mosquitto)
	"$mosquitto" -c mosquitto.conf >server.log 2>&1 3>&- &
	server=$!
	wait_until 10 grep -q running server.log || { cat server.log; return 1; }
}

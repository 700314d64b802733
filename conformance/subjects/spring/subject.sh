needs=(java mvn)
fetch() { mvn -q -B dependency:go-offline; }
build() { mvn -q -B -o package; }
start() { exec java -Xmx512m -Djava.io.tmpdir=target -jar target/subject.jar --server.address=127.0.0.1 --server.port="$PORT"; }

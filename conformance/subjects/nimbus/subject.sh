needs=(java mvn)
fetch() { mvn -q -B dependency:go-offline; }
build() { mvn -q -B package; }
start() { exec java -Xmx512m -cp 'target/classes:target/libraries/*' Subject; }

using System;
using System.Collections;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading.Tasks;
using PKCS12 = Mono.Security.X509.PKCS12;

class Program
{
    static X509Certificate2 Make()
    {
        var key = new RSACryptoServiceProvider(2048);
        var builder = new Mono.Security.X509.X509CertificateBuilder(3) {
            SerialNumber = new byte[] { 1, 2, 3 }, IssuerName = "CN=saki test", SubjectName = "CN=saki test", SubjectPublicKey = key,
            NotBefore = DateTime.UtcNow.AddDays(-1), NotAfter = DateTime.UtcNow.AddDays(1), Hash = "SHA256"
        };
        var store = new PKCS12 { Password = "secret" };
        store.AddCertificate(new Mono.Security.X509.X509Certificate(builder.Sign(key)));
        store.AddPkcs8ShroudedKeyBag(key);
        return new X509Certificate2(store.GetBytes(), "secret");
    }

    static void Main()
    {
        var certificate = Make();
        Console.WriteLine(certificate.Subject + " " + certificate.GetSerialNumberString() + " " + certificate.HasPrivateKey + " " + certificate.Version);
        Console.WriteLine(certificate.SignatureAlgorithm.FriendlyName + " " + certificate.PublicKey.Key.KeySize + " " + certificate.Verify());
        try { new X509Certificate2(new byte[] { 1, 2, 3 }); } catch (CryptographicException) { Console.WriteLine("no certificate"); }
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var serving = Task.Run(() => {
            using (var stream = new SslStream(listener.AcceptTcpClient().GetStream())) {
                stream.AuthenticateAsServer(certificate);
                var bytes = new byte[100];
                int count = stream.Read(bytes, 0, bytes.Length);
                stream.Write(Encoding.ASCII.GetBytes(Encoding.ASCII.GetString(bytes, 0, count).ToUpperInvariant()));
            }
        });
        using (var client = new TcpClient("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port))
        using (var stream = new SslStream(client.GetStream(), false, (sender, remote, chain, errors) => {
            Console.WriteLine(remote.Subject + " " + errors);
            return true;
        })) {
            stream.AuthenticateAsClient("localhost");
            Console.WriteLine(stream.IsEncrypted + " " + stream.SslProtocol);
            stream.Write(Encoding.ASCII.GetBytes("over tls"));
            var bytes = new byte[100];
            Console.WriteLine(Encoding.ASCII.GetString(bytes, 0, stream.Read(bytes, 0, bytes.Length)));
        }
        serving.Wait();
    }
}

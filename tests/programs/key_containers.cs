// compiled only: an emulated interpreter looks for primes for minutes
// Keys that are kept in files.
using System;
using System.Security.Cryptography;

class Program
{
    static void Main()
    {
        var parameters = new CspParameters { KeyContainerName = "saki test " + Guid.NewGuid() };
        byte[] data = { 1, 2, 3 }, signature;
        using (var rsa = new RSACryptoServiceProvider(512, parameters)) {
            Console.WriteLine(rsa.PersistKeyInCsp);
            signature = rsa.SignData(data, "SHA1");
        }
        using (var rsa = new RSACryptoServiceProvider(512, parameters)) {
            Console.WriteLine(rsa.VerifyData(data, "SHA1", signature));
            rsa.PersistKeyInCsp = false;
        }
        using (var rsa = new RSACryptoServiceProvider(512, parameters)) {
            Console.WriteLine(rsa.VerifyData(data, "SHA1", signature));
            rsa.PersistKeyInCsp = false;
        }
    }
}

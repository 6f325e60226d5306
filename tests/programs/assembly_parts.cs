// Assemblies of which parts are missing: base types, types of fields, files beside a file; and modules.
using System;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Reflection;
using System.Reflection.Emit;

class Program
{
    // A module with a class `Part`, and an assembly `owner` with a class `Owner` that has a field `Part` of it.
    const string Module =
        "7VTdSxRRFP/d8YPV0jYKSQqb9QNCYrA0KBBZ1xW1NKXVjAhyZvamE/Ox3Llr2kP40Ac91Z8QPQW9Ckn0B/gi9BeUvfUUPvQQvmz3ztzdWQkMfK0zc8+5594z" +
        "5/zO787MzN3XaADQKEalAmwhliz+LhtitJ//2I7Nlp3MFpneycyvOKFeYsEyMz3dNn0/4LpFdVb2dcfX87MF3QuK1Ghra+1VOebGgWmiHci7Cy1zjKRiUGrr" +
        "R7dQehVYNp5rcQiQWCwlzzQg+wxIR3diayaSNyLvjcOaFKWO4wgi8KXq3JTwJ+t8g9M1LuxPTfVV12tdiiWDUTewFYasimn+A2IOR5TP3bGdjFI34Y4omhU1" +
        "yBHzdWkXxKOt/bnC9RxRWST21SFjwBgcGLx0Ta40wRV6W4yeJ8CQCPsk5wXOHH85lBF7JOavZ6GAXyQ+s56Jham85FLguyr9nBtYqq5YSi+eVpzvk0F0xD00" +
        "qEGQ+Bqq/b1XthlXMCz0FIpCPxUatRgSXWm0RrjlfIOkcUJ5mijUL+ycPEM8PzMmDpKgBdKejHRnpDM4izbYOCUQNtbxdRFvE2d4JiiWXTqCOZNxDPeOhiH1" +
        "LHd9lAtirDKnYW9J7IzArC1g1npIbY7CesipB8PmAcNY4JUcl7IJ6lNmclqsJVBxxq2yzx2PGtXIAmWrji3SqQ25bnLHclyHJ+XhhXbAXMeChGH4lHsR4Ohj" +
        "iwhA3/dvLzb6vuZfbT6o7M++S0NrPie2SKMks0uyN691LDKzdDPwx9dsWuJO4M+vsOBRSFIfHt+73Tm0+7KOn+3uZP6l+g845D0G7o8FLO+6M6bjx3gpNYqu" +
        "G+1V+qBn8V8O/mTk97l3+T8V/6L8Bg==";
    const string Owner =
        "7VbNbxtFFP/t2rHcQKsAJWolVDZxKgWoFleJhJCq4iZOSUrSRLWbVhVSs7YHZ2E/rNlx0iABlqoiccsJxIE7xx6QqCr4A0DKvRIczKVHuPRQVdDw5sOxnRqh" +
        "9tq89Xy8N7957zdv1s9euraNFIA0td1d4A60FPD/0qJ25PW7R/DDoZ2xO9bizlh53U+cBo/r3AudqhdFsXAqzOHNyPEjp7hccsK4xtzDh4cnjI+VOWDRSvX5" +
        "bcMee8HKalIZbXs8Tp3TIVbQc1tDgO6oSNl6mkLhFjCiPt1xb1Bym/x+YFzeswcccg14Ec8gxC/bo2ZJn+/RXcFuCMk7Zc6V7vLucbHm8oRXYbgV0JcTdO+q" +
        "4HIWxFXDdc34Gn4CN7OfZntcj/NqyxCuUtAy7bXwbHLCnqStw2/OlC7MWMaL5LQx7ebdqfzU6XelZQgB9Q+p5T4HagTblvOS4H5UTyTigaXzl7tcwt+WvrPc" +
        "+5cXitKfrfnmZoK4YuKSaeTKUeAXqTyypjCqz5AyqbBM+685cMuMGRVrGK/iNerfxpKyWqaXz4hK7CE1l2gLK/IG8eWxHJ3MwkuQ43HVu3iFkOnW/jy9gcGW" +
        "dI9lEuHefAOnVWTibI90cGeW4lozYGexvBkxjhWPCyxXPmZVgdJWIlgItypijlgtX2pGwg/ZbBw2POFX/MAXW+cEpbzSFMxscA3IlSg/YLzE+IZfZQnCpBrz" +
        "wK+gQVHciIlQxda+3VogLzTl6Lv4p/X7+XNz83fP/jZ5IfljFKnMy0O0Zp2QGSvbo1e417gYR3M3qqwh/Dgqr/N4M7GyP3764erx6fZXR7e///atr3e+u3nz" +
        "fuaba7unPvv1Ud68y/fGu/n5s1MTBkh7D3d9NubFIFjy/EgfgjFDlyreSTgFHEhHLPXuH9NVtM8u3//8AHundlylNLZ66lfLnqZ+FSVcp34Ol2i2gGVcJH2B" +
        "+vM0l/Jz+q/Hg6rNez11fX9ZLqrIq/DAyY9PtYSRzwgfIVbrE2pXmVY9sia07kEQLiZNyhe4nW5b0keJ7JxWItQHePpJYfL0vEOWPKZRkTmgumCTfZYwIT2M" +
        "8AKJeRUnetYaKv4WndZTOFPTcUphOvGK1BJUFY9GH09H5Tzbg12lxgndxeSpwnSb9J0h/ILiJLERxQ56GMTYJJtckfVF8lgkra5QknWD+EomdaxD9PHt4nRm" +
        "a6SH6g4+UafX2DNUGy26W+3DN/E7/KMBPFzyFKjfA527FbLFZGtSTsQTuZscgNmfFefgi/xU/1PUf4apg1Q8j/Iv";

    // The same with a class `Other`.
    const string Other =
        "7VbPbxtFFP527VhuoFWAUrUSlE0cpADV4ipGgFSBSZzSlPxS7aZVhdSs14OzsLtjzY7TBgmIVIrELScQB+701gMSVYE/AKRIHHv0iSNcOKAKNbyZHcd2aoTo" +
        "lbz1/HhvvnnvmzfrZy9e2UYGQJba7i5wB6mU8e+yRe3Ic3eP4NtDO+N3rIWd8dp6kDgtwZvCixzfi2MunTpzRDt2gtipLFediDeYe/jw6KTxsTIHLFiZAb8d" +
        "2OOPWfmUVC61PZigzukSK6dzO4UAvVGTstNpBuWbwJj+9Ma9Qctt8vuOcXnPHnLINeBxPIIQv3yfmif9XJ/uSnZdKt4Zc65sj3efizVXJMKH4VbGQE7Qu6uy" +
        "K1jIfcN1zfgafQg3s59mZyIdz+ktI7hMQWu018KjyUl7iraOvjhTPT9jGS+K00bJLbrTxenTryvLCELq/6RW+BhoEGxbzatSBHEzUYg/rDR/hYtV/GWld1Z4" +
        "++J8RfmzU76FmZDXTVwyjV06CvyklPvWNI6lZ8iYVFim/dMcuGnGnI41iqfxDPUvY1FbLdOrZ0wn9pCeK7SFFXWD+Ox4gU5m4Qmo8YTuXTxFyOzW/jy9gOGW" +
        "bJ9lCtHefAOndWTibI91cWcWeaMdsjewLNeZwIonJJbr7zNforqZSBbB9SUX4Hr5QjuWQcRmedTyZFAPwkBuviUp5fW2ZGaDa0CuQgUhE1UmNgKfJYgSn4sw" +
        "qKNFUdyYyUjHTn27jVBdaEanAZ/+snT+tdKzZ2/NXbtbeeXW98jknhyhNeukyljNPnZJeK0lHs9d91lLBjyurQt+LbHy33347uqJUufzo9vffPXSFztf37jx" +
        "a+7LK7unPvr5ftG8y/cmevn5rVsThkhnD3d1lotKGC56QZwegjFDlyre83DKOJCuWPrdP55W0QG7ev+LQ+zd2nGZ0rjVV7+27BL1q6jiKvVzuECzeSxjifR5" +
        "6s/SXMmP2d8fDKs2b/bV9f1luaIjr8KDID8B1RJGPmO8B67XJ/WuGq16ZE1o3YMkHCdNySe4ne1YykeV7IJWYjSHePpBY4r0vEqWIkqoqxxQXbDJPkuYiB5G" +
        "eInEvIqTfWstHX+TTutpnKnpOKUx3XgVagl8zaM1wNPROc/3YVepCUL3MEWqML2mfOcIP685KWxMscM+Bpzs63pF1RfFY4G0pkYp1i3iq5g0CSUH+PZwaWYb" +
        "pEf6Dj7Qp0+xZ6g2WnS3qY/AxO/yj4fwcMlTqH8P0tytkI2TrU05kQ/lbmoIZn9WnIMv8n/6n6L/M0wfpOL/KH8D";

    static string folder;

    static void Try(string what, Func<object> action)
    {
        try { Console.WriteLine(what + ": " + (action() ?? "null")); }
        catch (ReflectionTypeLoadException exception)
        {
            Console.WriteLine(what + ": " + string.Join(" ", exception.Types.Select(type => type == null ? "null" : type.Name)));
            foreach (var reason in exception.LoaderExceptions) Console.WriteLine("  " + reason.GetType());
        }
        catch (Exception exception)
        {
            Console.WriteLine(what + ": " + exception.GetType() + " " + exception.Message.Replace(folder, "FOLDER"));
        }
    }

    static ModuleBuilder Define(string name, out AssemblyBuilder assembly)
    {
        assembly = AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName(name), AssemblyBuilderAccess.Save, folder);
        return assembly.DefineDynamicModule(name, name + ".dll");
    }

    static string Part(string file) { return Path.Combine(folder, file); }

    // Writes an assembly, and another that its types need.
    static string Save(string tag, bool withBases)
    {
        AssemblyBuilder bases, users;
        var module = Define("bases" + tag, out bases);
        var anchor = module.DefineType("Anchor", TypeAttributes.Public);
        anchor.CreateType();
        var contract = module.DefineType("Contract", TypeAttributes.Public | TypeAttributes.Interface | TypeAttributes.Abstract);
        contract.CreateType();
        module = Define("users" + tag, out users);
        module.DefineType("Plain", TypeAttributes.Public).CreateType();
        module.DefineType("Derived", TypeAttributes.Public, anchor).CreateType();
        var holder = module.DefineType("Holder", TypeAttributes.Public);
        holder.DefineField("number", typeof(int), FieldAttributes.Public);
        holder.DefineField("anchor", anchor, FieldAttributes.Public);
        holder.CreateType();
        module.DefineType("Bound", TypeAttributes.Public, typeof(object), new Type[] { contract }).CreateType();
        var outer = module.DefineType("Outer", TypeAttributes.Public);
        var good = outer.DefineNestedType("Good", TypeAttributes.NestedPublic);
        var bad = outer.DefineNestedType("Bad", TypeAttributes.NestedPublic, anchor);
        outer.CreateType();
        good.CreateType();
        bad.CreateType();
        if (withBases) bases.Save("bases" + tag + ".dll");
        users.Save("users" + tag + ".dll");
        return Part("users" + tag + ".dll");
    }

    static void Unpack(string text, string file)
    {
        using (var packed = new DeflateStream(new MemoryStream(Convert.FromBase64String(text)), CompressionMode.Decompress))
        using (var unpacked = File.Create(file))
            packed.CopyTo(unpacked);
    }

    static void ShowModules()
    {
        Unpack(Module, Part("part.netmodule"));
        Unpack(Owner, Part("owner.dll"));
        Unpack(Other, Part("other.dll"));
        var owner = Assembly.LoadFile(Part("owner.dll"));
        var part = owner.GetType("Owner").GetField("Part").FieldType;
        Try("part", () => part.AssemblyQualifiedName);
        Try("assembly", () => part.Assembly == owner && part.Module.Assembly == owner && part.Module == owner.GetModules()[1]);
        Try("modules", () => string.Join(" ", owner.GetModules().Select(module => module.Name)));
        Try("types", () => string.Join(" ", owner.GetTypes().Select(type => type.Name)));
        Try("by name", () => Type.GetType(part.AssemblyQualifiedName) == part);
        Try("module", () => owner.GetModule("part.netmodule"));
        Try("other", () => Assembly.LoadFile(Part("other.dll")).GetModules().Length);
        Try("part of other", () => Activator.CreateInstance(Assembly.LoadFile(Part("other.dll")).GetType("Other")));
    }

    static void Main()
    {
        folder = Path.Combine(Path.GetTempPath(), "saki assembly parts " + Guid.NewGuid());
        Directory.CreateDirectory(folder);
        try
        {
            // A nested type of which nobody has asked before is left out.
            var alone = Assembly.LoadFrom(Save("Alone", false));
            Try("nested", () => string.Join(" ", alone.GetType("Outer").GetNestedTypes().Select(type => type.Name)));
            Try("derived", () => alone.GetType("Derived"));
            Try("plain", () => alone.GetType("Plain"));
            Try("field", () => alone.GetType("Holder").GetField("anchor").FieldType);
            Try("holder", () => Activator.CreateInstance(alone.GetType("Holder")));
            var types = Assembly.LoadFrom(Save("Types", false));
            Try("types", () => types.GetTypes().Length);
            // The folder of an assembly counts for what it refers to, unless it was loaded as a mere file.
            var file = Assembly.LoadFile(Save("File", true));
            Try("file", () => file.GetType("Derived").BaseType);
            var from = Assembly.LoadFrom(Save("From", true));
            Try("from", () => from.GetType("Derived").BaseType);
            ShowModules();
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }
}

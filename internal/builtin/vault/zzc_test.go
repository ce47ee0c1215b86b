package vault
import ("testing";"os";"os/exec";"path/filepath";"fmt";"crypto/sha256";"strings";"time"
 gitasset "lifeboat/internal/asset/git"
 "lifeboat/internal/vault")
func TestZZC(t *testing.T){
 src:=filepath.Join(t.TempDir(),"mono.git"); run:=func(dir string,stdin string,a ...string){ c:=exec.Command(a[0],a[1:]...); c.Dir=dir; c.Stdin=strings.NewReader(stdin); if o,e:=c.CombinedOutput();e!=nil{t.Fatalf("%v %s",e,o)}}
 run("","","git","init","-q","--bare",src)
 n:=0
 commit:=func(){ n++; content:=fmt.Sprint("content ",n); oid:=fmt.Sprintf("%x",sha256.Sum256([]byte(content))); p:=filepath.Join(src,"lfs/objects",oid[:2],oid[2:4]); os.MkdirAll(p,0700); os.WriteFile(filepath.Join(p,oid),[]byte(content),0600)
  ptr:=fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n",oid,len(content)); from:=""; if n>1 {from="from refs/heads/main^0\n"}
  run(src,fmt.Sprintf("commit refs/heads/main\ncommitter C <c@e> %d +0000\ndata 1\nx\n%sM 100644 inline f%d\ndata %d\n%s\n",1700000000+n,from,n,len(ptr),ptr),"git","fast-import","--quiet") }
 v,err:=vault.Open(t.Context(),"file://"+t.TempDir()+"?create=1",vault.Options{Version:"x"}); if err!=nil{t.Fatal(err)}
 defer v.Close()
 a:=vault.Asset{Name:"mono",Kind:"git",Source:src}
 var last vault.Manifest
 for i:=range 36 { if i%7!=3 {commit()}; k:=gitasset.Kind{LFS:true,Mirror:i%5==0,Scratch:t.TempDir(),Critical:[]string{"f1"}}
  m,err:=v.Backup(t.Context(),a,k,vault.BackupOptions{Now: func() time.Time { return time.Now() }}); if err!=nil{t.Fatal(i,err)}
  t.Log(i,m.Kind,len(m.Chain),len(m.Aux)); last=m }
 to:=filepath.Join(t.TempDir(),"out")
 r,err:=v.Restore(t.Context(),last,gitasset.Kind{Critical:[]string{"f1"}},to,vault.RestoreOptions{}); t.Logf("%+v %v",r,err)
 if err!=nil {t.Fatal(err)}
 run("","","find",to+"/lfs","-type","f")
}

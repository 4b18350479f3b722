import { setDevice, randn, randint, full, nn, Tensor } from './src/index.ts'
setDevice('cpu')
async function go(C:number, mode:string){
const T=80,B=16,L=10
const x=randn([T,B,C]); x.stopGradient=false
const y=randint(1,C,[B,L],'int32'); const il=full([B],T,'int64'), ll=full([B],L,'int64')
const ts:number[]=[]
for (let i=0;i<14;i++){
  const t=performance.now()
  const l=nn.functional.ctcLoss(x,y,il,ll)
  let v:any=l
  if(mode!=='fwd'){ l.backward(); v = mode==='full'? x.grad!.flatten().slice?.([0],[0],[1])??x.grad!.sum(): x.grad!.sum()}
  await v.item()
  ts.push(performance.now()-t); x.clearGrad()
}
ts.sort((a,b)=>a-b); console.log(C,mode,'min',ts[0].toFixed(1),'med',ts[7].toFixed(1))
}
for (const C of [32,6625]) for (const m of ['fwd','sum']) await go(C,m)
